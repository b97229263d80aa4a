import keras
from keras import ops

from keras_capi.layers.blocks.relative_position_bias import RelativePositionBias
from keras_capi.layers.tokens.position_table import KINDS
from keras_capi.layers.tokens.position_table import PositionTable
from keras_capi.ops.positions.tables import patch_cells
from keras_capi.ops.positions.tables import relative_position_index
from keras_capi.ops.positions.visible_positions import visible_positions
from keras_capi.validation import check_choice
from keras_capi.validation import check_non_negative

RELATIVE = ("shared", "per_block")


@keras.saving.register_keras_serializable(package="keras_capi")
class ViTPositions(keras.layers.Layer):
    """The positions of a standard vision transformer's tokens.

    They are a table that is added to the tokens, attention biases, both or
    neither. One tensor holds everything for each patch: its row of the table
    and, if biases need them, its row and column in the image. So patches can be
    dropped together with their positions.

    Args:
        image_grid: Tuple of two integers, rows and columns of patches that the
            positions are made for; `None` if there are none.
        hidden_dim: Integer. Width of the tokens.
        num_heads: Integer. Number of attention heads.
        num_layers: Integer. Number of blocks.
        class_token: Boolean. Whether there is a class token.
        num_prefix_tokens: Integer. Number of tokens before the patches.
        kind: `"learned"`, `"sine"` or `None`. The table.
        interpolation_offset: Float, see `keras_capi.ops.resample_positions`.
        relative: `None`, `"shared"` or `"per_block"`. The biases.
        interpolation_antialias: Boolean, see
            `keras_capi.ops.resample_positions`.

    Call arguments:
        grid_size: Tuple of two integers or scalar tensors: rows and columns of
            patches of images.
        visible_indices: Optional integer tensor of shape `(batch, visible)`:
            the row-major patches to take. `None` takes all.

    Output shape:
        `(1, rows * columns, width)` or `(batch, visible, width)`, in float32.
    """

    def __init__(
        self,
        image_grid,
        hidden_dim,
        num_heads,
        num_layers,
        class_token,
        num_prefix_tokens,
        kind="learned",
        interpolation_offset=0.0,
        relative=None,
        interpolation_antialias=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Half precision is too coarse for positions.
        self.autocast = False
        check_choice("positions", kind, KINDS, or_none=True)
        check_non_negative("interpolation_offset", interpolation_offset)
        check_choice("relative_positions", relative, RELATIVE, or_none=True)
        self.image_grid = image_grid
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.num_layers = num_layers
        self.class_token = class_token
        self.num_prefix_tokens = num_prefix_tokens
        self.kind = kind
        self.interpolation_offset = interpolation_offset
        self.interpolation_antialias = bool(interpolation_antialias)
        self.relative = relative
        self.table = None
        if (kind or relative) and None in image_grid:
            raise ValueError(
                "`image_shape` must have a height and a width if there are "
                f"positions. Received: positions={kind!r}, "
                f"relative_positions={relative!r}, and no size"
            )
        if kind is not None:
            self.table = PositionTable(
                image_grid,
                hidden_dim,
                kind,
                class_token,
                interpolation_offset,
                interpolation_antialias,
                dtype=self.dtype_policy,
                name="table",
            )
        count = {None: 0, "shared": 1, "per_block": num_layers}[relative]
        self.biases = [
            RelativePositionBias(
                image_grid,
                num_heads,
                prefix=num_prefix_tokens > 0,
                dtype=self.dtype_policy,
                name=f"bias_{index}",
            )
            for index in range(count)
        ]

    def build(self):
        if self.table is not None:
            self.table.build()
        for bias in self.biases:
            bias.build((None, None, None))

    def call(self, grid_size, visible_indices=None):
        parts = []
        if self.table is not None:
            parts.append(self.table.patch_positions(grid_size))
        if self.biases or not parts:
            parts.append(self._cells(grid_size))
        positions = ops.concatenate(parts, axis=-1)
        return visible_positions(positions, visible_indices)

    def _cells(self, grid_size):
        for own, size in zip(self.image_grid, grid_size, strict=True):
            if self.biases and isinstance(size, int) and size > own:
                raise ValueError(
                    "Images cannot be larger than `image_shape` where "
                    "positions are relative. Received: "
                    f"{tuple(grid_size)} patches, at most {self.image_grid}"
                )
        return patch_cells(grid_size)[None]

    def add(self, tokens, positions):
        """Adds the rows of the table, if there is one, to patch tokens."""
        if self.table is None:
            return tokens
        return tokens + ops.cast(
            positions[..., : self.hidden_dim], tokens.dtype
        )

    @property
    def fixed_grid(self):
        """Rows and columns that table or biases are made for, or `None`."""
        return self.image_grid if self.table or self.biases else None

    @property
    def class_position(self):
        """The class token's row of the table `(1, hidden_dim)`, or `None`."""
        return None if self.table is None else self.table.class_position

    def attention_biases(self, positions):
        """Returns the bias of each block.

        Args:
            positions: Tensor of shape `(batch or 1, patches, width)`, from a
                call.

        Returns:
            List of tensors of shape `(batch or 1, num_heads, prefix + patches,
            prefix + patches)`, or `None`.
        """
        if not self.biases:
            return None
        index = relative_position_index(
            positions[..., -2:], self.image_grid, self.num_prefix_tokens
        )
        biases = [bias(index) for bias in self.biases]
        return biases * (self.num_layers // len(biases))

    def add_to_depths(self, blocks, behind):
        """Adds the biases to lists of weights by depth.

        Args:
            blocks: List of lists of variables, one a block.
            behind: List of variables.

        Returns:
            Both with the biases: each block's own in its list, or shared ones
            in `behind`.
        """
        biases = [bias.weights for bias in self.biases]
        if self.relative != "per_block":
            return blocks, sum(biases, start=behind)
        pairs = zip(blocks, biases, strict=True)
        return [[*block, *bias] for block, bias in pairs], behind

    def get_config(self):
        return {
            **super().get_config(),
            "image_grid": self.image_grid,
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "class_token": self.class_token,
            "num_prefix_tokens": self.num_prefix_tokens,
            "kind": self.kind,
            "interpolation_offset": self.interpolation_offset,
            "relative": self.relative,
            "interpolation_antialias": self.interpolation_antialias,
        }
