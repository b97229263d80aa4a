import keras
from keras import ops

from keras_capi.ops.positions.tables import interpolate_positions
from keras_capi.validation import check_grid_size


@keras.saving.register_keras_serializable(package="keras_capi")
class CoordinateTable(keras.layers.Layer):
    """Adds learnt positions to tokens, looked up by their coordinates.

    One of CAPI's ablations, used in place of rotary positions. A table holds
    one vector for each patch of an image. Coordinates in between, which images
    of other sizes have, are interpolated bilinearly. `PositionTable` has the
    positions of a standard vision transformer, which are resampled bicubically.

    Args:
        grid_size: Tuple of two integers, rows and columns of the table.

    Call arguments:
        tokens: Float tensor of shape `(batch, tokens, width)`.
        coordinates: Float tensor of shape `(batch or 1, tokens, 2)`: row and
            column of each token in `[0, 1]`.

    Output shape:
        `(batch, tokens, width)`.

    Example:

    >>> tokens = keras.random.normal((2, 6, 32))
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> keras_capi.layers.CoordinateTable((2, 3))(tokens, coordinates).shape

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), table 1 (positions)
    """

    def __init__(self, grid_size, **kwargs):
        super().__init__(**kwargs)
        # Half precision is too coarse for coordinates.
        self.autocast = False
        self.grid_size = check_grid_size(grid_size)

    def build(self, tokens_shape, coordinates_shape=None):
        rows, columns = self.grid_size
        self.table = self.add_weight(
            name="table",
            shape=(rows * columns, tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            autocast=False,
        )

    def call(self, tokens, coordinates):
        positions = interpolate_positions(
            self.table, self.grid_size, coordinates
        )
        tokens = ops.cast(tokens, self.compute_dtype)
        return tokens + ops.cast(positions, self.compute_dtype)

    def compute_output_spec(self, tokens, coordinates):
        return keras.KerasTensor(tokens.shape, self.compute_dtype)

    def compute_output_shape(self, tokens_shape, coordinates_shape=None):
        return tokens_shape

    def get_config(self):
        return {**super().get_config(), "grid_size": self.grid_size}


def make_coordinate_table(position_grid, **kwargs):
    """Returns a `CoordinateTable`, or `None` if there is no grid."""
    if position_grid is None:
        return None
    position_grid = check_grid_size(position_grid, "position_grid")
    return CoordinateTable(position_grid, **kwargs)
