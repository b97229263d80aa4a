import keras
from keras import ops

from keras_capi.encoders.encoder_inputs import check_visible_indices
from keras_capi.layers.blocks.block_stack import make_blocks
from keras_capi.layers.blocks.block_stack import run_blocks
from keras_capi.layers.blocks.drop_path import DropPath
from keras_capi.layers.build_in_constructor import build_in_constructor
from keras_capi.layers.tokens.coordinate_table import make_coordinate_table
from keras_capi.layers.tokens.patch_embedding import PatchEmbedding
from keras_capi.layers.tokens.register_tokens import RegisterTokens
from keras_capi.ops.normalization import rms_normalize
from keras_capi.ops.positions.coordinates import patch_coordinates
from keras_capi.ops.tokens import to_int32
from keras_capi.ops.value_range import check_value_range
from keras_capi.saving.base_model import BaseModel
from keras_capi.validation import check_images
from keras_capi.validation import check_layers
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


# Registered under its first name, which saved files contain.
@keras.saving.register_keras_serializable("keras_capi", name="ViTEncoder")
class RotaryViT(BaseModel):
    """Vision transformer with registers and rotary positions.

    It encodes all patches of an image, or only the visible ones. It has no
    class token, no biases except in the patch embedding, and no position table,
    so any image size works. The final norm has no scale.

    Args:
        patch_size: Integer. Side of a patch in pixels.
        num_layers: Integer. Number of transformer blocks.
        hidden_dim: Integer. Width of the tokens.
        num_heads: Integer. Number of attention heads; the head size must be
            divisible by 4.
        mlp_dim: Integer or `None`. Hidden width of the MLPs; `None` is `4 *
            hidden_dim`. Defaults to `None`.
        num_register_tokens: Integer, divisible by 4. Defaults to `16`.
        register_coordinates: `"edge"` or `"zeros"`, see
            `keras_capi.layers.RegisterTokens`. Defaults to `"edge"`.
        scale_registers_to_visible: Boolean. Whether the registers' coordinates
            follow the bounding box of the visible patches. Defaults to `True`.
        drop_path_rate: Float in `[0, 1)`. Stochastic depth, the same in every
            block. Defaults to `0.0`.
        drop_path_method: `"efficient"` or `"naive"`, see
            `keras_capi.layers.DropPath`. Defaults to `"efficient"`.
        num_channels: Integer. Channels of the images. Defaults to `3`.
        seed: Integer or `None`. Seed of the stochastic depth. Defaults to
            `None`.
        position_grid: Tuple of two integers or `None`. Rows and columns of
            learnt positions (`keras_capi.layers.CoordinateTable`), which
            replace rotary ones. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, num_channels)`,
            any height and width divisible by `patch_size`.
        visible_indices: Optional integer tensor of shape `(batch, visible)`:
            the row-major patches to encode. `None` encodes all.
        training: Boolean. Whether to apply stochastic depth.

    Output shape:
        `(batch, num_register_tokens + visible, hidden_dim)`, registers first.

    Example:

    >>> encoder = keras_capi.models.RotaryViT(16, 2, 64, 4)
    >>> encoder(keras.random.uniform((2, 32, 48, 3))).shape  # (2, 22, 64)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(
        self,
        patch_size,
        num_layers,
        hidden_dim,
        num_heads,
        mlp_dim=None,
        num_register_tokens=16,
        register_coordinates="edge",
        scale_registers_to_visible=True,
        drop_path_rate=0.0,
        drop_path_method="efficient",
        num_channels=3,
        seed=None,
        position_grid=None,
        **kwargs,
    ):
        # A `keras.RematScope` is meant for the blocks. The encoder itself must
        # not be run twice, as it draws random numbers.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
            for argument, value in (
                ("num_layers", num_layers),
                ("hidden_dim", hidden_dim),
                ("num_heads", num_heads),
                ("num_channels", num_channels),
            ):
                check_positive_integer(argument, value)
            check_positive_integer("mlp_dim", mlp_dim, or_none=True)
            check_non_negative_integer(
                "num_register_tokens", num_register_tokens
            )
            check_number("drop_path_rate", drop_path_rate, "[0, 1)")
            self.patch_embedding = PatchEmbedding(
                patch_size,
                hidden_dim,
                dtype=self.dtype_policy,
                name="patch_embedding",
            )
            self.register_tokens = RegisterTokens(
                num_register_tokens,
                register_coordinates,
                scale_registers_to_visible,
                dtype=self.dtype_policy,
                name="register_tokens",
            )
            self.drop_path = DropPath(
                drop_path_rate, drop_path_method, seed, name="drop_path"
            )
            self.positions = make_coordinate_table(
                position_grid, dtype=self.dtype_policy, name="positions"
            )
            self.position_grid = self.positions and self.positions.grid_size
        self.blocks = make_blocks(
            num_layers,
            num_heads=num_heads,
            mlp_dim=mlp_dim,
            rotary=self.positions is None,
            dtype=self.dtype_policy,
        )
        self.patch_size = patch_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.num_channels = num_channels
        self.seed = seed
        build_in_constructor(self, (None, None, None, num_channels))

    def build(self, images_shape):
        self.patch_embedding.build(images_shape)
        shape = (None, None, self.hidden_dim)
        for part in (self.register_tokens, self.positions, *self.blocks):
            if part is not None:
                part.build(shape)

    def call(self, images, visible_indices=None, training=None):
        last = self.num_layers
        return self.encode_layers(images, (last,), visible_indices, training)[
            last
        ]

    def encode_layers(
        self, images, layers, visible_indices=None, training=None
    ):
        """Returns the output of several blocks, each as if it were the last.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            layers: Tuple of integers, from 1 to `num_layers`: the blocks whose
                output to take.
            visible_indices: Optional integer tensor of shape
                `(batch, visible)`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Dictionary from each of `layers` to a tensor of shape
            `(batch, num_registers + visible, hidden_dim)`.
        """
        check_images(images, self.patch_size, self.num_channels)
        check_visible_indices(images, visible_indices)
        check_layers(layers, self.num_layers)
        return self.encode_tokens(
            self.patch_embedding(images, visible_indices),
            self.patch_coordinates(images, visible_indices),
            layers,
            training,
        )

    def encode_tokens(
        self,
        tokens,
        coordinates,
        layers,
        training=None,
        normalize=True,
        attention_mask=None,
    ):
        """Encodes given tokens of patches.

        Args:
            tokens: Float tensor of shape `(batch, patches, hidden_dim)`.
            coordinates: Float tensor of shape `(batch or 1, patches, 2)`.
            layers: Tuple of integers, as for `encode_layers`.
            training: Boolean. Whether to apply stochastic depth.
            normalize: Boolean. Whether to apply the final norm.
            attention_mask: Optional Boolean tensor of shape
                `(batch or 1, all tokens, all tokens)`: which tokens, registers
                first, may attend to which.

        Returns:
            Dictionary, as from `encode_layers`.
        """
        tokens, turning = self.add_positions(tokens, coordinates)
        outputs = run_blocks(
            self.blocks[: max(layers)],
            tokens,
            self.drop_path if training else None,
            **turning,
            attention_mask=attention_mask,
        )
        return {
            layer: rms_normalize(tokens) if normalize else tokens
            for layer, tokens in enumerate(outputs, start=1)
            if layer in layers
        }

    def add_positions(self, tokens, coordinates):
        """Adds registers, and learnt positions if there are any, to tokens.

        Args:
            tokens: As for `encode_tokens`.
            coordinates: The same.

        Returns:
            All tokens, and a dictionary of the `"coordinates"` for the
            rotations in attention, which is empty if positions are learnt.
        """
        if self.positions is not None:
            tokens = self.positions(tokens, coordinates)
            return self.register_tokens(tokens, coordinates)[0], {}
        tokens, coordinates = self.register_tokens(tokens, coordinates)
        return tokens, {"coordinates": coordinates}

    def patch_coordinates(self, images, visible_indices=None):
        """Returns the coordinates of the encoded patches in `[0, 1]`.

        Args:
            images: Tensor of shape `(batch, height, width, channels)`.
            visible_indices: Optional integer tensor of shape
                `(batch, visible)`.

        Returns:
            Float32 tensor of shape `(batch or 1, visible, 2)`.
        """
        _, height, width, _ = ops.shape(images)
        grid_size = (height // self.patch_size, width // self.patch_size)
        coordinates = patch_coordinates(grid_size)
        if visible_indices is None:
            return coordinates[None]
        check_value_range(
            "indices", visible_indices, coordinates.shape[0], "as the patches"
        )
        return ops.take(coordinates, to_int32(visible_indices), axis=0)

    def token_coordinates(self, images, visible_indices=None):
        """Like `patch_coordinates`, preceded by those of the registers."""
        return self.register_tokens.add_coordinates(
            self.patch_coordinates(images, visible_indices)
        )

    def compute_output_spec(self, images, visible_indices=None, training=None):
        patches = self.patch_embedding.compute_output_spec(
            images, visible_indices
        )
        batch_size, num_patches, width = patches.shape
        num_tokens = None
        if num_patches is not None:
            num_tokens = num_patches + self.register_tokens.num_registers
        return keras.KerasTensor(
            (batch_size, num_tokens, width), self.compute_dtype
        )

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "num_register_tokens": self.register_tokens.num_registers,
            "register_coordinates": self.register_tokens.coordinates,
            "scale_registers_to_visible": (
                self.register_tokens.scale_to_visible
            ),
            "drop_path_rate": self.drop_path.rate,
            "drop_path_method": self.drop_path.method,
            "num_channels": self.num_channels,
            "seed": self.seed,
            "position_grid": self.position_grid,
        }
