"""Training with targets that are made between epochs."""

import keras
from keras import ops

from keras_capi.fitting.named_arguments import named_arguments
from keras_capi.methods.inputs.numbered_images import check_is_numbered
from keras_capi.methods.inputs.numbered_images import check_not_numbered_alike
from keras_capi.methods.inputs.numbered_images import check_number_of_images
from keras_capi.methods.inputs.numbered_images import count_images
from keras_capi.methods.inputs.numbered_images import number_images
from keras_capi.methods.inputs.numbered_images import numbered
from keras_capi.training.pretraining import Pretraining


class BetweenEpochs(keras.callbacks.Callback):
    """Tells a method where an epoch begins and ends.

    `fit` adds it by itself.

    Args:
        data: What `fit` trains on.
        batch_size: Integer or `None`, of arrays.
    """

    def __init__(self, data, batch_size):
        super().__init__()
        self.data = data
        self.batch_size = batch_size

    def on_epoch_begin(self, epoch, logs=None):
        self.model.begin_epoch(epoch, self.data, self.batch_size)

    def on_epoch_end(self, epoch, logs=None):
        self.model.end_epoch()


class TargetsBetweenEpochs(Pretraining):
    """Base of the methods whose targets are made between epochs.

    Numbers identify images from one epoch to the next: `fit` numbers the images
    of arrays, and makes this package's data sets number theirs.

    A subclass keeps what it remembers of the images in `self.memory`, which has
    `num_images` and `labels` (negative for none). `make_memory` creates it once
    the number of images is known. Targets are made in `begin_epoch`, or in
    `begin_with_batch` for a single step outside of `fit`.
    """

    def __init__(self, encoder, **kwargs):
        super().__init__(encoder, **kwargs)
        self.memory = None

    def make_memory(self, num_images):
        """Makes room for the targets of a data set.

        Args:
            num_images: Integer.
        """
        raise NotImplementedError

    def begin_epoch(self, epoch, data, batch_size):
        """Makes targets for an epoch, unless a resumed epoch has them already.

        Args:
            epoch: Integer.
            data: What `fit` trains on.
            batch_size: Integer or `None`, of arrays.
        """
        raise NotImplementedError

    def end_epoch(self):
        """Notes that an epoch is over."""
        raise NotImplementedError

    def has_targets(self):
        """Returns whether there are targets to train on."""
        return bool(ops.any(self.memory.labels >= 0))

    def begin_with_batch(self, batch):
        """Makes targets for a single batch.

        Args:
            batch: Dictionary, with `"indices"`.
        """
        raise NotImplementedError

    def as_data(self, data, batch_size):
        """Returns the data to train on, and its batch size or `None`.

        Args:
            data: Dictionary of arrays, or a data set.
            batch_size: Integer or `None`, of arrays.
        """
        return data, batch_size

    def fit(self, x=None, *args, **kwargs):
        kwargs = named_arguments("fit", "y", args, kwargs)
        for argument in ("validation_data", "validation_split"):
            value = kwargs.get(argument)
            # Keras's default for the latter is 0.
            is_zero = isinstance(value, int | float) and value == 0
            if value is not None and not is_zero:
                raise ValueError(
                    "Only the images of the training have targets: leave out "
                    f"`{argument}`, and compare features, for example by "
                    "`keras_capi.callbacks.KNNEvaluation`. Received: "
                    f"{argument} of type {type(value).__name__}"
                )
        self._check(x, **kwargs)
        x = self._number(x)
        x, batch_size = self.as_data(x, kwargs.pop("batch_size", None))
        with numbered(x):
            return super().fit(x, batch_size=batch_size, **kwargs)

    def _fit(self, x, y, batch_size, *, callbacks, **kwargs):
        # First, so that other callbacks save the state of the coming epoch.
        callbacks = [BetweenEpochs(x, batch_size), *callbacks]
        return super()._fit(x, y, batch_size, callbacks=callbacks, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        self._check(x)
        self._check_has_targets("evaluate")
        x = self._number(x)
        with numbered(x):
            return super().evaluate(x, *args, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        self._check(x)
        x = self._number(x)
        if not self.has_targets():
            self.begin_with_batch(x)
        return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        self._check(x)
        self._check_has_targets("test_on_batch")
        return super().test_on_batch(self._number(x), *args, **kwargs)

    def _check_has_targets(self, method):
        if self.memory is None or not self.has_targets():
            raise ValueError(
                f"`{method}` needs targets, which `fit` or `train_on_batch` "
                f"makes: train first. Received: {self.name!r} without targets"
            )

    def _number(self, x):
        """Numbers images, which must be the whole data set."""
        check_is_numbered(x)
        check_not_numbered_alike(x, self.memory and self.memory.num_images)
        if self.memory is None:
            self.make_memory(count_images(number_images(x)))
        check_number_of_images(x, self.memory.num_images)
        return number_images(x)
