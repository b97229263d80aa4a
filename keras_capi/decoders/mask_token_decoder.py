import keras
from keras import ops

from keras_capi.decoders.known_grid_size import known_grid_size
from keras_capi.decoders.visible_tokens import check_visible_tokens
from keras_capi.layers.blocks.block_stack import make_blocks
from keras_capi.layers.blocks.block_stack import run_blocks
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.blocks.new_initializer import new_initializer
from keras_capi.layers.build_in_constructor import build_in_constructor
from keras_capi.layers.tokens.position_table import PositionTable
from keras_capi.ops.tokens import gather_tokens
from keras_capi.saving.base_model import BaseModel
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class MaskTokenDecoder(BaseModel):
    """Predicts hidden patches from mask tokens among the encoded visible ones.

    A separate, narrow vision transformer. It takes the encoder's output for the
    visible patches, puts the same learnt mask token in place of each hidden
    one, adds its own fixed positions, and turns all tokens into values of the
    patches, such as pixels. It is only needed for pretraining.

    Args:
        context_dim: Integer. Width of the encoder's tokens.
        output_dim: Integer. Number of values to predict for a patch.
        grid_size: Tuple of two integers: rows and columns of patches. Positions
            are resampled for other sizes.
        num_layers: Integer. Number of transformer blocks. Defaults to `8`.
        hidden_dim: Integer, divisible by 4. Width of the tokens. Defaults to
            `512`.
        num_heads: Integer. Attention heads. Defaults to `16`.
        mlp_dim: Integer or `None`. Hidden width of the MLPs; `None` is `4 *
            hidden_dim`. Defaults to `None`.
        kernel_initializer: Initializer of all kernels; `None` is Glorot
            uniform, as in `keras_capi.layers.TransformerBlock`. Defaults to
            `None`.

    Call arguments:
        prefix: Float tensor of shape `(batch, prefix, context_dim)`: class
            token and the like, which have no position.
        patches: Float tensor of shape `(batch, visible, context_dim)`.
        visible_indices: Integer tensor of shape `(batch, visible)`: their
            row-major patch indices.
        predict_indices: Integer tensor of shape `(batch, predictions)`: which
            to predict.
        grid_size: Optional tuple of two integers: rows and columns of patches,
            if they differ from the constructor's.

    Output shape:
        `(batch, visible + predictions, output_dim)`, visible patches first.

    Example:

    >>> decoder = keras_capi.decoders.MaskTokenDecoder(
    ...     48, 192, (4, 4), num_layers=1, hidden_dim=32, num_heads=4
    ... )
    >>> indices = np.arange(16)[None]
    >>> decoder(
    ...     np.zeros((1, 1, 48)), np.zeros((1, 4, 48)),
    ...     indices[:, :4], indices[:, 4:],
    ... ).shape  # (1, 16, 192)

    Reference:

    - [MAE](https://arxiv.org/abs/2111.06377), section 3 and appendix A.1
    """

    def __init__(
        self,
        context_dim,
        output_dim,
        grid_size,
        num_layers=8,
        hidden_dim=512,
        num_heads=16,
        mlp_dim=None,
        kernel_initializer=None,
        **kwargs,
    ):
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
            for name, value in (
                ("context_dim", context_dim),
                ("output_dim", output_dim),
                ("num_layers", num_layers),
                ("hidden_dim", hidden_dim),
                ("num_heads", num_heads),
            ):
                check_positive_integer(name, value)
            self.kernel_initializer = keras.initializers.get(kernel_initializer)
            self.embedding = self._make_dense(hidden_dim, "embedding")
            self.positions = PositionTable(
                grid_size,
                hidden_dim,
                "sine",
                class_token=False,
                dtype=self.dtype_policy,
                name="positions",
            )
            self.final_norm = keras.layers.LayerNormalization(
                epsilon=1e-6, dtype=self.dtype_policy, name="final_norm"
            )
            self.prediction = self._make_dense(output_dim, "prediction")
        self.blocks = make_blocks(
            num_layers,
            num_heads=num_heads,
            mlp_dim=mlp_dim,
            rotary=False,
            normalization="layer",
            use_bias=True,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
        )
        self.context_dim = context_dim
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        build_in_constructor(self, (None, None, context_dim))

    @classmethod
    def for_encoder(cls, encoder, **arguments):
        """Returns a pixel decoder with sizes that fit an encoder.

        Args:
            encoder: `keras_capi.encoders.Encoder`.
            **arguments: Other arguments of the constructor.
        """
        return cls(
            encoder.hidden_dim,
            encoder.patch_size**2 * encoder.image_shape[-1],
            known_grid_size(encoder),
            **arguments,
        )

    def _make_dense(self, units, name):
        return Dense(
            units,
            kernel_initializer=new_initializer(
                self.kernel_initializer, "glorot_uniform"
            ),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, context_shape, *args):
        shape = (None, None, self.hidden_dim)
        self.embedding.build(context_shape)
        self.positions.build()
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(1, self.hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        for block in self.blocks:
            block.build(shape)
        self.final_norm.build(shape)
        self.prediction.build(shape)

    def call(
        self, prefix, patches, visible_indices, predict_indices, grid_size=None
    ):
        check_visible_tokens(patches, visible_indices)
        num_prefix_tokens = ops.shape(prefix)[1]
        tokens = self.run_blocks(
            self.embedding(ops.concatenate([prefix, patches], axis=1)),
            visible_indices,
            predict_indices,
            grid_size,
        )
        tokens = self.final_norm(tokens[:, num_prefix_tokens:])
        return self.prediction(tokens)

    def run_blocks(
        self,
        embedded,
        visible_indices,
        predict_indices,
        grid_size=None,
        attention_mask=None,
    ):
        """Adds mask tokens and positions to embedded ones, and runs the blocks.

        Args:
            embedded: Float tensor of shape `(batch, prefix + visible,
                hidden_dim)`.
            visible_indices: As in a call, like `predict_indices` and
                `grid_size`.
            attention_mask: Optional Boolean tensor of shape `(batch or 1,
                tokens, tokens)`: which tokens may attend to which.

        Returns:
            Tensor of shape `(batch, prefix + visible + predictions,
            hidden_dim)`: the output of the last block.
        """
        batch_size, num_embedded, _ = ops.shape(embedded)
        num_prefix_tokens = num_embedded - ops.shape(visible_indices)[1]
        num_predictions = ops.shape(predict_indices)[1]
        mask_tokens = ops.broadcast_to(
            ops.cast(self.mask_token, embedded.dtype),
            (batch_size, num_predictions, self.hidden_dim),
        )
        # Attention does not depend on the order, so tokens need no sorting.
        indices = ops.concatenate([visible_indices, predict_indices], axis=1)
        positions = gather_tokens(
            ops.repeat(self.positions(grid_size=grid_size), batch_size, axis=0),
            indices,
        )
        tokens = ops.concatenate([embedded, mask_tokens], axis=1)
        positions = ops.pad(positions, [[0, 0], [num_prefix_tokens, 0], [0, 0]])
        tokens = tokens + ops.cast(positions, tokens.dtype)
        outputs = run_blocks(self.blocks, tokens, attention_mask=attention_mask)
        for output in outputs:
            tokens = output
        return tokens

    def compute_output_spec(
        self, prefix, patches, visible_indices, predict_indices, grid_size=None
    ):
        self.check_width(patches)
        check_visible_tokens(patches, visible_indices)
        counts = (visible_indices.shape[1], predict_indices.shape[1])
        count = None if None in counts else sum(counts)
        return keras.KerasTensor(
            (patches.shape[0], count, self.output_dim), self.compute_dtype
        )

    def check_width(self, patches):
        """Raises a `ValueError` if tokens have the wrong width.

        Args:
            patches: As in a call.
        """
        if patches.shape[-1] != self.context_dim:
            raise ValueError(
                "`patches` must be `context_dim` wide. Received: context_dim="
                f"{self.context_dim}, patches.shape={tuple(patches.shape)}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "context_dim": self.context_dim,
            "output_dim": self.output_dim,
            "grid_size": self.positions.grid_size,
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }
