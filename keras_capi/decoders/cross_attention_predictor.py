import keras
from keras import ops

from keras_capi.layers.block_stack import make_blocks
from keras_capi.layers.block_stack import run_blocks
from keras_capi.layers.drop_path import DropPath
from keras_capi.ops.normalization import rms_normalize
from keras_capi.saving.base_model import BaseModel
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class CrossAttentionPredictor(BaseModel):
    """Predicts the features of patches from where they are and what is visible.

    Every query is the same learnt mask token; its position enters through the
    rotary embedding only. The blocks have cross-attention to the encoder's
    output, registers included, and no self-attention: predictions do not see
    each other, so their number can change. The final norm has no scale.

    Args:
        num_layers: Integer. Number of transformer blocks.
        hidden_dim: Integer. Width of the predictions.
        num_heads: Integer. Number of attention heads; the head size must be
            divisible by 4.
        context_dim: Integer or `None`. Width of the encoder's output; `None` is
            `hidden_dim`. Defaults to `None`.
        mlp_dim: Integer or `None`. Hidden width of the perceptrons; `None` is
            `4 * hidden_dim`. Defaults to `None`.
        drop_path_rate: Float in `[0, 1)`. Stochastic depth, the same in every
            block. Defaults to `0.0`.
        drop_path_method: `"efficient"` or `"naive"`, see
            `keras_capi.layers.DropPath`. Defaults to `"efficient"`.
        seed: Integer or `None`. Seed of the stochastic depth. Defaults to
            `None`.

    Call arguments:
        context: Float tensor of shape `(batch, tokens, context_dim)`.
        context_coordinates: Float tensor of shape `(batch or 1, tokens, 2)`.
        coordinates: Float tensor of shape `(batch or 1, predictions, 2)`: where
            to predict, row and column in `[0, 1]`.
        num_layers: Optional integer. Runs the first blocks only.
        training: Boolean. Whether to apply stochastic depth.

    Output shape:
        `(batch, predictions, hidden_dim)`.

    Example:

    >>> predictor = keras_capi.models.CrossAttentionPredictor(2, 32, 4)
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> context = keras.random.normal((5, 6, 32))
    >>> predictor(context, coordinates, coordinates).shape  # (5, 6, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.4 (predictor)
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
        **kwargs,
    ):
        # A `keras.RematScope` is for the blocks, see `RotaryViT`.
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
        self.blocks = make_blocks(
            num_layers,
            num_heads=num_heads,
            mlp_dim=mlp_dim,
            dtype=self.dtype_policy,
        )
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.context_dim = context_dim or hidden_dim
        self.mlp_dim = mlp_dim
        self.seed = seed
        self.build((None, None, self.context_dim))

    def build(self, context_shape, *args, **kwargs):
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(self.hidden_dim,),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        for block in self.blocks:
            block.build(
                (None, None, self.hidden_dim), context_shape=context_shape
            )

    def call(
        self,
        context,
        context_coordinates,
        coordinates,
        num_layers=None,
        training=None,
    ):
        tokens = self._mask_tokens(context, coordinates)
        outputs = run_blocks(
            self.blocks[:num_layers],
            tokens,
            self.drop_path if training else None,
            coordinates=coordinates,
            context=ops.cast(context, self.compute_dtype),
            context_coordinates=context_coordinates,
        )
        for output in outputs:
            tokens = output
        return rms_normalize(tokens)

    def _mask_tokens(self, context, coordinates):
        return ops.broadcast_to(
            ops.cast(self.mask_token, self.compute_dtype),
            (ops.shape(context)[0], ops.shape(coordinates)[1], self.hidden_dim),
        )

    def attention_weights(self, context, context_coordinates, coordinates):
        """Returns how much each query attends to each token in the first block.

        Args:
            context: As in a call, and so are `context_coordinates` and
                `coordinates`.

        Returns:
            Float32 tensor of shape `(batch, num_heads, predictions, tokens)`.
        """
        block = self.blocks[0]
        return block.attention.attention_weights(
            block.attention_norm(self._mask_tokens(context, coordinates)),
            coordinates,
            ops.cast(context, self.compute_dtype),
            context_coordinates,
        )

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
        }


def check_predictor_sizes(num_layers, hidden_dim, num_heads, mlp_dim):
    """Raises a `ValueError` that names the arguments as a backbone does."""
    check_positive_integer("predictor_num_layers", num_layers)
    for name, value in (
        ("predictor_hidden_dim", hidden_dim),
        ("predictor_num_heads", num_heads),
        ("predictor_mlp_dim", mlp_dim),
    ):
        check_positive_integer(name, value, or_none=True)
