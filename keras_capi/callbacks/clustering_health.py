from keras_capi.callbacks.health_watch import HealthWatch
from keras_capi.evaluation.model_health import model_health


class ClusteringHealth(HealthWatch):
    """Watches for collapse while a CAPI model trains.

    For other methods, and for CAPI without clusters, use `FeatureHealth`.

    After an epoch it adds the measures of
    `keras_capi.evaluation.clustering_health` to the logs as `"health_..."`, so
    that they appear in the history and wherever other callbacks send the logs.
    If a measure leaves its healthy range, a warning names the cause and the
    usual remedy. The warning is not repeated until the measure has been healthy
    again.

    | log | healthy |
    |---|---|
    | `health_dead_prototypes` | 0 |
    | `health_usage_share` | at least 0.1 |
    | `health_target_entropy_share` | at most 0.9 |
    | `health_feature_deviation` | at least 0.1 |
    | `health_effective_rank` | at least 5 |
    | `health_positional_information` | at most 0.5 |
    | `health_prediction_gain_share` | at least 0, and rising |

    The prediction gain is the entropy of the mean assignment minus the CAPI
    loss, on the validation data if there are any: what the student gains by
    looking at the image. The gain and the target entropy are given as shares of
    the logarithm of the number of clusters.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: tens to hundreds of images, preferably held
            out.
        batch_size: Integer. Assignments are balanced over this many images.
            Defaults to `64`, or all images if there are fewer.
        every: Integer. Number of epochs between two measurements. Defaults to
            `1`.
        patience: Integer. Number of epochs at the start without warnings, as
            nothing is learned yet. Defaults to `1`.

    Raises:
        ValueError: If an argument is out of range or, when `fit` starts, if the
            images do not fit the model.

    Example:

    >>> health = keras_capi.callbacks.ClusteringHealth(validation_images)
    >>> history = model.fit(images, epochs=20, callbacks=[health])
    >>> history.history["health_usage_share"]

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3 (stability)
    """

    def set_model(self, model):
        if not hasattr(model, "clustering"):
            raise ValueError(
                "`ClusteringHealth` is for a `keras_capi.models.CAPI` model "
                "with clusters; use `FeatureHealth` for others. "
                f"Received: {type(model).__name__}"
            )
        super().set_model(model)

    def measure(self, logs):
        shares, _ = model_health(self.model, self.images, logs, self.batch_size)
        return shares
