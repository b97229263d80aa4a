from keras_capi.callbacks.health_watch import HealthWatch
from keras_capi.evaluation.clustering_health import feature_spread
from keras_capi.evaluation.healthy_ranges import feature_shares
from keras_capi.evaluation.patch_features import patch_features


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
    | `health_effective_rank` | at least 4 |
    | `health_prototype_entropy_share` | 0.001 to 0.98 |

    The deviation is that of patch features over images and positions, relative
    to their size; the rank the number of dimensions in which they vary
    (RankMe); the entropy that of the teacher's choice among the prototypes, as
    a share of the most there can be, for methods that log `target_entropy`.

    Features are those of `predict`: the teacher's if there is one.

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

    def measure(self, logs):
        features = patch_features(self.model, self.images, self.batch_size)
        return feature_shares(
            feature_spread(features),
            getattr(self.model, "num_prototypes", None),
            logs.get("val_target_entropy", logs.get("target_entropy")),
        )
