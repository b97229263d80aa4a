import keras
from keras import ops

from keras_capi.layers.add_state import add_state
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class FeatureQueue(keras.layers.Layer):
    """Stores the patch features of the most recent training images.

    For losses that need more images than fit into a batch. `features` holds
    them, newest first, and `is_filled` tells which rows are in use. Calling the
    layer adds a batch, in place of the oldest images.

    Args:
        size: Integer. Number of images to store.

    Input shape:
        `(batch, patches, width)`, patches and width known.

    Output shape:
        None: the layer returns nothing.

    Example:

    >>> queue = keras_capi.layers.FeatureQueue(size=6)
    >>> queue(keras.random.normal((4, 9, 16)))
    >>> queue.features.shape  # (6, 9, 16)
    >>> queue.is_filled  # four times True, twice False

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), section 3.1 (working with small
      batches)
    """

    def __init__(self, size, **kwargs):
        # If a `keras.RematScope` recomputed it, it would store a batch twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive_integer("size", size)
        self.size = size

    def build(self, input_shape):
        if None in input_shape[1:]:
            raise ValueError(
                "A queue needs to know the number of patches: give the "
                "backbone its `image_shape`. Received: features of shape "
                f"{tuple(input_shape)}"
            )
        self.features = add_state(
            self, "features", (self.size, *input_shape[1:])
        )
        self._num_filled = add_state(self, "num_filled", (), "int32")

    @property
    def is_filled(self):
        """Which rows are in use: Boolean tensor of shape `(size,)`."""
        return ops.arange(self.size) < self._num_filled

    @property
    def is_full(self):
        """Whether all rows are in use: Boolean scalar tensor."""
        return self._num_filled >= self.size

    def clear(self, condition):
        """Empties the queue if a condition holds.

        Args:
            condition: Boolean scalar tensor. Whether to empty the queue.
        """
        num_filled = ops.convert_to_tensor(self._num_filled)
        self._num_filled.assign(ops.where(condition, 0, num_filled))

    def call(self, inputs):
        inputs = ops.cast(ops.stop_gradient(inputs), "float32")
        together = ops.concatenate([inputs, self.features], axis=0)
        self.features.assign(together[: self.size])
        num_filled = self._num_filled + ops.shape(inputs)[0]
        self._num_filled.assign(ops.minimum(num_filled, self.size))

    def compute_output_spec(self, inputs):
        return None

    def get_config(self):
        return {**super().get_config(), "size": self.size}
