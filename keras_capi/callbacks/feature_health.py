from keras_capi.callbacks.health_watch import HealthWatch
from keras_capi.evaluation.choices import center_drift
from keras_capi.evaluation.choices import list_centers
from keras_capi.evaluation.model_health import model_health


class FeatureHealth(HealthWatch):
    """Watches for collapse while any method trains.

    Methods that predict the features of a slow teacher (I-JEPA, data2vec), or
    its scores for prototypes (DINO, iBOT), have a trivial solution: all
    features become the same. Their loss does not show it. After an epoch this
    callback logs how far the features are from such a collapse. If a measure
    leaves its healthy range, it warns once, with the cause and the usual
    remedy.

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
    to their size; the rank is the number of dimensions in which they vary
    (RankMe). Features are those of `predict`: the teacher's if there is one.
    Other measures depend on the method:

    - with prototypes, or colours to choose from (colorization): the entropy of
      the targets, if `target_entropy` is logged, as a share of its maximum; the
      mutual information of choices and images, also as a share; and the
      perplexity of the likeliest choices;
    - with a center (DINO, iBOT): how far it moved since the last measurement,
      as a share of its norm;
    - with a known loss of guessing (rotation prediction, relative positions,
      image GPT): the loss as a share of that;
    - with SimCLR: how often a view ranks the other view of its image first.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: tens to hundreds of images, preferably held
            out.
        batch_size: Integer. Number of images to encode at a time. Defaults to
            `64`, or all images if there are fewer.
        every: Integer. Number of epochs between two measurements. Defaults to
            `1`.
        patience: Integer. Number of epochs at the start without warnings, as
            nothing is learned yet. Defaults to `1`.

    Raises:
        ValueError: If an argument is out of range or, when `fit` starts, if the
            images do not fit the model.

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
