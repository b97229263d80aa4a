import warnings

import keras

from keras_capi.callbacks.images import check_callback_images
from keras_capi.callbacks.images import feature_map_shape
from keras_capi.evaluation.clustering_health import clustering_health
from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.healthy_ranges import health_shares
from keras_capi.evaluation.healthy_ranges import is_healthy
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


class ClusteringHealth(keras.callbacks.Callback):
    """Watches for collapse while a CAPI model trains.

    After an epoch it adds the measures of
    `keras_capi.evaluation.clustering_health` to the logs, as `"health_..."`, so
    that they are in the history and wherever other callbacks send the logs. A
    measure that leaves its healthy range gives a warning that names the cause
    and the usual remedy, once until it has been healthy again.

    | log | healthy |
    |---|---|
    | `health_dead_prototypes` | 0 |
    | `health_usage_share` | at least 0.1 |
    | `health_target_entropy_share` | at most 0.9 |
    | `health_feature_deviation` | at least 0.1 |
    | `health_effective_rank` | at least 4 |
    | `health_positional_information` | at most 0.5 |
    | `health_prediction_gain_share` | at least 0, and rising |

    The prediction gain is the entropy of the mean assignment less the CAPI
    loss, that of the validation data if there is one: what the student gains
    by looking at the image. It and the target entropy are shares of the
    logarithm of the number of clusters.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: some tens to hundreds of images, best held
            out.
        batch_size: Integer. Assignments are balanced over so many images.
            Defaults to `64`, or all images if there are fewer.
        every: Integer. Number of epochs between two looks. Defaults to `1`.
        patience: Integer. Number of first epochs without warnings, as nothing
            is learned yet. Defaults to `1`.

    Raises:
        ValueError: If an argument is out of range or, when `fit` starts, if the
            images do not suit the model.

    Example:

    >>> health = keras_capi.callbacks.ClusteringHealth(validation_images)
    >>> history = model.fit(images, epochs=20, callbacks=[health])
    >>> history.history["health_usage_share"]

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3 (stability)
    """

    def __init__(self, images, batch_size=64, every=1, patience=1):
        super().__init__()
        check_positive_integer("batch_size", batch_size)
        check_positive_integer("every", every)
        check_non_negative_integer("patience", patience)
        check_callback_images(images)
        self.images = images
        self.batch_size = min(batch_size, len(images))
        self.every = every
        self.patience = patience
        self.unhealthy = set()

    def set_model(self, model):
        super().set_model(model)
        if not hasattr(model, "clustering"):
            raise ValueError(
                "`ClusteringHealth` is for a `keras_capi.models.CAPI` model. "
                f"Received: {type(model).__name__}"
            )
        feature_map_shape(model.teacher, self.images)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        measures = clustering_health(self.model, self.images, self.batch_size)
        measures = health_shares(
            measures,
            self.model.clustering.num_clusters,
            logs.get("val_capi_loss", logs["capi_loss"]),
        )
        logs.update({f"health_{k}": v for k, v in measures.items()})
        if epoch >= self.patience:
            self._warn(measures)

    def _warn(self, measures):
        for name, value in measures.items():
            healthy = HEALTHY[name]
            if is_healthy(name, value):
                self.unhealthy.discard(name)
            elif name not in self.unhealthy:
                self.unhealthy.add(name)
                warnings.warn(
                    f"{name} is {value:.3g}, healthy is {healthy.low:g} to "
                    f"{healthy.high:g}: {healthy.cause}. Usual remedy: "
                    f"{healthy.remedy}.",
                    stacklevel=2,
                )
