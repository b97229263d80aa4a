from keras_capi.callbacks.health_watch import HealthWatch
from keras_capi.evaluation.choices import center_drift
from keras_capi.evaluation.choices import list_centers
from keras_capi.evaluation.model_health import model_health


class FeatureHealth(HealthWatch):
    """Watches for collapse while any method trains.

    Methods that predict the features of a slow teacher (I-JEPA, data2vec), or
    what it says of prototypes (DINO, iBOT), have a way to be always right: all
    features become the same. Their loss does not tell. After an epoch this adds
    to the logs how far features are from that, and warns once when a measure
    leaves its healthy range, with the cause and the usual remedy.

    | log | healthy |
    |---|---|
    | `health_feature_deviation` | at least 0.1 |
    | `health_effective_rank` | at least 5 |
    | `health_prototype_entropy_share` | 0.001 to 0.98 |
    | `health_choice_information_share` | at least 0.02 |
    | `health_used_choices` | at least 2 |
    | `health_center_drift` | 0.001 to 1.5 |
    | `health_chance_share` | at most 0.98 |
    | `health_contrastive_accuracy` | at least 0.04 |

    The deviation is that of patch features over images and positions, relative
    to their size; the rank the number of dimensions in which they vary
    (RankMe). Features are those of `predict`: the teacher's if there is one.
    Of the others a method has what suits it:

    - with prototypes, or colours to choose from (colorization): how certain the
      targets are, if `target_entropy` is logged, as a share of the most there
      can be; what a choice tells of the image, their mutual information, as
      such a share; and the perplexity of the likeliest choices;
    - with a center (DINO, iBOT): how far it moved since the last look, as a
      share of its norm;
    - with a loss that guessing has, too (rotation prediction, relative
      positions, image GPT): the loss as a share of that;
    - SimCLR: how often a view finds the other one of its image first.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: some tens to hundreds of images, best held
            out.
        batch_size: Integer. So many images are encoded together. Defaults to
            `64`, or all images if there are fewer.
        every: Integer. Number of epochs between two looks. Defaults to `1`.
        patience: Integer. Number of first epochs without warnings, as nothing
            is learned yet. Defaults to `1`.

    Raises:
        ValueError: If an argument is out of range or, when `fit` starts, if the
            images do not suit the model.

    Example:

    >>> health = keras_capi.callbacks.FeatureHealth(validation_images)
    >>> history = model.fit(images, epochs=20, callbacks=[health])
    >>> history.history["health_effective_rank"]

    Reference:

    - [RankMe](https://arxiv.org/abs/2210.02885)
    """

    def set_model(self, model):
        super().set_model(model)
        self.centers = list_centers(model)

    def measure(self, logs):
        shares, _ = model_health(self.model, self.images, logs, self.batch_size)
        before, self.centers = self.centers, list_centers(self.model)
        if before:
            shares["center_drift"] = center_drift(before, self.centers)
        return shares
