import keras
from keras import ops

from keras_capi.layers.blocks.block_stack import make_blocks
from keras_capi.layers.blocks.drop_path import DropPath
from keras_capi.layers.build_in_constructor import build_in_constructor
from keras_capi.layers.tokens.coordinate_table import make_coordinate_table
from keras_capi.ops.normalization import rms_normalize
from keras_capi.saving.base_model import BaseModel
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


class RotaryPredictor(BaseModel):
    """Base class of predictors on a `RotaryViT`, with blocks of the same kind.

    Every position to predict starts as the same learnt mask token. A subclass
    builds `blocks` and defines in `predict_tokens` how they use the context.

    Args:
        num_layers: Integer. Number of transformer blocks.
        hidden_dim: Integer. Width of the predictions.
        num_heads: Integer. Number of attention heads; the head size must be
            divisible by 4, unless positions are learnt.
        context_dim: Integer or `None`. Width of the encoder's output; `None` is
            `hidden_dim`. Defaults to `None`.
        mlp_dim: Integer or `None`. Hidden width of the MLPs; `None` is `4 *
            hidden_dim`. Defaults to `None`.
        drop_path_rate: Float in `[0, 1)`. Stochastic depth, the same in every
            block. Defaults to `0.0`.
        drop_path_method: `"efficient"` or `"naive"`, see
            `keras_capi.layers.DropPath`. Defaults to `"efficient"`.
        seed: Integer or `None`. Seed of the stochastic depth. Defaults to
            `None`.
        position_grid: Tuple of two integers or `None`. Rows and columns of
            learnt positions, which are added to the mask tokens and replace
            rotary ones. Defaults to `None`.
    """

    def __init__(
        self,
        num_layers,
        hidden_dim,
        num_heads,
        context_dim=None,
        mlp_dim=None,
        drop_path_rate=0.0,
        drop_path_method="efficient",
        seed=None,
        position_grid=None,
        **kwargs,
    ):
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
            # Half precision is too coarse for coordinates.
            self.autocast = False
            check_positive_integer("num_layers", num_layers)
            check_positive_integer("hidden_dim", hidden_dim)
            check_positive_integer("context_dim", context_dim, or_none=True)
            check_number("drop_path_rate", drop_path_rate, "[0, 1)")
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
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.context_dim = context_dim or hidden_dim
        self.mlp_dim = mlp_dim
        self.seed = seed
        build_in_constructor(self, (None, None, self.context_dim))

    @classmethod
    def for_encoder(cls, encoder, hidden_dim, num_heads, **arguments):
        """Returns a predictor for an encoder, as similar to it as possible.

        Args:
            encoder: `keras_capi.encoders.RotaryViT`.
            hidden_dim: Integer, or `None` for that of the encoder.
            num_heads: The same.
            **arguments: Other arguments of the constructor.
        """
        return cls(
            hidden_dim=hidden_dim or encoder.hidden_dim,
            num_heads=num_heads or encoder.num_heads,
            context_dim=encoder.hidden_dim,
            drop_path_rate=encoder.drop_path.rate,
            drop_path_method=encoder.drop_path.method,
            position_grid=encoder.position_grid,
            **arguments,
        )

    def build(self, context_shape, *args, **kwargs):
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(self.hidden_dim,),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        if self.positions is not None:
            self.positions.build((None, None, self.hidden_dim))

    def call(
        self,
        context,
        context_coordinates,
        coordinates,
        num_layers=None,
        training=None,
    ):
        if num_layers is not None:
            check_positive_integer("num_layers", num_layers)
            check_number("num_layers", num_layers, f"[1, {self.num_layers}]")
        outputs = self.predict_tokens(
            self.blocks[:num_layers],
            ops.cast(context, self.compute_dtype),
            context_coordinates,
            self.mask_tokens(context, coordinates),
            coordinates,
            self.drop_path if training else None,
        )
        return rms_normalize(outputs)

    def predict_tokens(
        self,
        blocks,
        context,
        context_coordinates,
        tokens,
        coordinates,
        drop_path,
    ):
        """Runs blocks on mask tokens.

        Args:
            blocks: List of `TransformerBlock`s to run.
            context: As in a call, like both coordinates.
            context_coordinates: The same.
            tokens: Float tensor of shape `(batch, predictions, hidden_dim)`.
            coordinates: The same.
            drop_path: `DropPath` layer or `None`.

        Returns:
            Tensor of the shape of `tokens`, before the final norm.
        """
        raise NotImplementedError

    def mask_tokens(self, context, coordinates):
        """Returns the tokens to start from.

        Args:
            context: As in a call, like `coordinates`.

        Returns:
            Tensor of shape `(batch, predictions, hidden_dim)`.
        """
        tokens = ops.broadcast_to(
            ops.cast(self.mask_token, self.compute_dtype),
            (ops.shape(context)[0], ops.shape(coordinates)[1], self.hidden_dim),
        )
        if self.positions is None:
            return tokens
        return self.positions(tokens, coordinates)

    def turning(self, **coordinates):
        """Returns the coordinates for rotations in attention, if any."""
        return coordinates if self.positions is None else {}

    def predict_masked(
        self, encoder, images, visible_indices, predict_indices, training=None
    ):
        """Predicts features of hidden patches from the visible ones.

        Args:
            encoder: `keras_capi.encoders.RotaryViT`.
            images: Float tensor of shape `(batch, height, width, channels)`.
            visible_indices: Integer tensor of shape `(batch, visible)`.
            predict_indices: Integer tensor of shape `(batch, predictions)`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, predictions, hidden_dim)`.
        """
        context = encoder(images, visible_indices, training=training)
        return self(
            context,
            encoder.token_coordinates(images, visible_indices),
            encoder.patch_coordinates(images, predict_indices),
            training=training,
        )

    def pool(self, encoder, outputs, training=None):
        """Returns the feature of an image: the output of the first block.

        Args:
            encoder: `keras_capi.encoders.RotaryViT`.
            outputs: Dictionary, as returned by `CAPIBackbone.encode`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, hidden_dim)`: the mean over all positions.
        """
        predictions = self(
            *_everywhere(encoder, outputs), num_layers=1, training=training
        )
        return ops.mean(predictions, axis=1)

    def look(self, encoder, outputs):
        """Returns what the first block attends to for that feature.

        Args:
            encoder: As for `pool`, like `outputs`.

        Returns:
            Dictionary with `"predictor"`, a float32 tensor of shape `(batch,
            num_heads, tokens)`.
        """
        weights = self.attention_weights(*_everywhere(encoder, outputs))
        # All positions are queried alike, and their answers averaged.
        return {"predictor": ops.mean(weights, axis=2)}

    def list_unused_parts(self, uses_global):
        """Returns the layers that features do not depend on."""
        return self.blocks[1:] if uses_global else [self]

    def compute_output_spec(
        self, context, context_coordinates, coordinates, **kwargs
    ):
        return keras.KerasTensor(
            (context.shape[0], coordinates.shape[1], self.hidden_dim),
            self.compute_dtype,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "context_dim": self.context_dim,
            "mlp_dim": self.mlp_dim,
            "drop_path_rate": self.drop_path.rate,
            "drop_path_method": self.drop_path.method,
            "seed": self.seed,
            "position_grid": self.position_grid,
        }


def _everywhere(encoder, outputs):
    """Returns arguments of a call that predicts all patches from all."""
    positions = outputs["positions"]
    return (
        ops.concatenate([outputs["prefix"], outputs["patches"]], axis=1),
        encoder.register_tokens.add_coordinates(positions),
        positions,
    )


def check_predictor_sizes(num_layers, hidden_dim, num_heads, mlp_dim):
    """Raises a `ValueError` with the names that a backbone's arguments have."""
    check_positive_integer("predictor_num_layers", num_layers)
    for name, value in (
        ("predictor_hidden_dim", hidden_dim),
        ("predictor_num_heads", num_heads),
        ("predictor_mlp_dim", mlp_dim),
    ):
        check_positive_integer(name, value, or_none=True)
