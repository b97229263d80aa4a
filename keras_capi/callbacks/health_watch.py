import abc
import warnings

import keras

from keras_capi.callbacks.images import check_callback_images
from keras_capi.callbacks.images import feature_map_shape
from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.healthy_ranges import is_healthy
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


class HealthWatch(keras.callbacks.Callback, abc.ABC):
    """Base class of callbacks that check after epochs if a model is healthy.

    A subclass computes its measures in `measure`. They are logged as
    `"health_..."`. If one leaves its healthy range, a warning names the cause
    and the usual remedy; it is not repeated until the measure has been healthy
    again.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        batch_size: Integer. Number of images to measure together, or all if
            there are fewer. Defaults to `64`.
        every: Integer. Number of epochs between two measurements. Defaults to
            `1`.
        patience: Integer. Number of epochs at the start without warnings, as
            nothing is learned yet. Defaults to `1`.
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

    @abc.abstractmethod
    def measure(self, logs):
        """Returns a dictionary of floats, by the keys of `HEALTHY`.

        Args:
            logs: Dictionary of the epoch's logs.
        """

    def set_model(self, model):
        super().set_model(model)
        feature_map_shape(model, self.images)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        measures = self.measure(logs)
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
