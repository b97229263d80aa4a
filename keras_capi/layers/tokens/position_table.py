import keras
import numpy as np
from keras import ops

from keras_capi.ops.positions.tables import resample_positions
from keras_capi.ops.positions.tables import sine_positions
from keras_capi.validation import check_choice
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_positive_integer

KINDS = ("learned", "sine")


@keras.saving.register_keras_serializable(package="keras_capi")
class PositionTable(keras.layers.Layer):
    """A position embedding for each patch of an image and the class token.

    For images of other sizes, the positions of the patches are resampled
    bicubically. That of the class token stays the same.

    Args:
        grid_size: Tuple of two integers, rows and columns of the table.
        hidden_dim: Integer. Width of the tokens.
        kind: `"learned"`, or `"sine"`: the fixed positions of
            `keras_capi.ops.sine_positions`, and zeros for the class token.
            Defaults to `"learned"`.
        class_token: Boolean. Whether the first row belongs to a class token.
            Defaults to `True`.
        interpolation_offset: Float, see `keras_capi.ops.resample_positions`.
            Defaults to `0.0`.
        interpolation_antialias: Boolean, likewise. Defaults to `False`.

    Call arguments:
        grid_size: Optional tuple of two integers or scalar tensors: rows and
            columns of patches. `None` is the grid of the table.

    Output shape:
        `(1, class_token + rows * columns, hidden_dim)`, in float32.

    Example:

    >>> table = keras_capi.layers.PositionTable((4, 4), 32)
    >>> table(grid_size=(3, 5)).shape  # (1, 16, 32)

    Reference:

    - [MAE](https://arxiv.org/abs/2111.06377), appendix A.1 (sine)
    - [DINO](https://arxiv.org/abs/2104.14294) (learnt, with an offset of 0.1)
    """

    def __init__(
        self,
        grid_size,
        hidden_dim,
        kind="learned",
        class_token=True,
        interpolation_offset=0.0,
        interpolation_antialias=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Half precision is too coarse for the sums of resampling.
        self.autocast = False
        check_choice("kind", kind, KINDS)
        check_positive_integer("hidden_dim", hidden_dim)
        check_non_negative("interpolation_offset", interpolation_offset)
        self.grid_size = check_grid_size(grid_size)
        self.hidden_dim = hidden_dim
        self.kind = kind
        self.class_token = bool(class_token)
        self.interpolation_offset = interpolation_offset
        self.interpolation_antialias = bool(interpolation_antialias)

    def build(self):
        rows, columns = self.grid_size
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        if self.kind == "sine":
            sines = sine_positions(self.grid_size, self.hidden_dim)
            initializer = self._constant(sines)
        self.table = self.add_weight(
            name="table",
            shape=(self.class_token + rows * columns, self.hidden_dim),
            initializer=initializer,
            trainable=self.kind != "sine",
            autocast=False,
        )

    def _constant(self, positions):
        table = np.pad(positions, ((self.class_token, 0), (0, 0)))
        return lambda shape, dtype: ops.convert_to_tensor(table, dtype)

    @property
    def class_position(self):
        """Float32 tensor `(1, hidden_dim)`, or `None` without class token."""
        return self.table[:1] if self.class_token else None

    def patch_positions(self, grid_size=None):
        """Returns the positions of the patches alone.

        Args:
            grid_size: As in a call.

        Returns:
            Float32 tensor of shape `(1, rows * columns, hidden_dim)`.
        """
        return resample_positions(
            self.table[int(self.class_token) :],
            self.grid_size,
            self.grid_size if grid_size is None else grid_size,
            self.interpolation_offset,
            self.interpolation_antialias,
        )[None]

    def call(self, grid_size=None):
        positions = self.patch_positions(grid_size)
        if not self.class_token:
            return positions
        return ops.concatenate([self.class_position[None], positions], axis=1)

    def get_config(self):
        return {
            **super().get_config(),
            "grid_size": self.grid_size,
            "hidden_dim": self.hidden_dim,
            "kind": self.kind,
            "class_token": self.class_token,
            "interpolation_offset": self.interpolation_offset,
            "interpolation_antialias": self.interpolation_antialias,
        }
