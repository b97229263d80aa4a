import keras
from keras import ops

from keras_capi import backend
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class RelativePositionBias(keras.layers.Layer):
    """Learnt attention bias for each offset between two patches.

    Args:
        grid_size: Tuple of two integers, the largest numbers of rows and
            columns of patches.
        num_heads: Integer. Number of attention heads. Each has its own biases.
        prefix: Boolean. Whether there are tokens before the patches, such as a
            class token. They get three further biases. Defaults to `True`.

    Call arguments:
        index: Integer tensor of shape `(batch or 1, tokens, tokens)`, from
            `keras_capi.ops.relative_position_index`.

    Output shape:
        `(batch or 1, num_heads, tokens, tokens)`.

    Example:

    >>> cells = keras_capi.ops.patch_cells((2, 3))[None]
    >>> index = keras_capi.ops.relative_position_index(cells, (2, 3), 1)
    >>> layer = keras_capi.layers.RelativePositionBias((2, 3), num_heads=4)
    >>> layer(index).shape  # (1, 4, 7, 7)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.5
    """

    def __init__(self, grid_size, num_heads, prefix=True, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("num_heads", num_heads)
        self.grid_size = check_grid_size(grid_size)
        self.num_heads = num_heads
        self.prefix = bool(prefix)

    def build(self, index_shape):
        rows, columns = self.grid_size
        count = (2 * rows - 1) * (2 * columns - 1) + 3 * self.prefix
        self.table = self.add_weight(
            name="table", shape=(count, self.num_heads), initializer="zeros"
        )

    def call(self, index):
        bias = backend.take_rows(self.table, index)
        return ops.transpose(bias, (0, 3, 1, 2))

    def compute_output_shape(self, index_shape):
        batch_size, queries, keys = index_shape
        return (batch_size, self.num_heads, queries, keys)

    def compute_output_spec(self, index):
        return keras.KerasTensor(
            self.compute_output_shape(index.shape), self.compute_dtype
        )

    def get_config(self):
        return {
            **super().get_config(),
            "grid_size": self.grid_size,
            "num_heads": self.num_heads,
            "prefix": self.prefix,
        }
