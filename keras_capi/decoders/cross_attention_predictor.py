import keras
from keras import ops

from keras_capi.decoders.rotary_predictor import RotaryPredictor
from keras_capi.layers.blocks.block_stack import run_blocks


@keras.saving.register_keras_serializable(package="keras_capi")
class CrossAttentionPredictor(RotaryPredictor):
    """Predicts patch features from their positions and the visible patches.

    Every query is the same learnt mask token; its position enters only through
    the rotary embedding. The blocks have cross-attention to the encoder's
    output, including registers, and no self-attention: predictions do not see
    each other, so their number can vary. The final norm has no scale.

    Args:
        num_layers: Integer. Number of transformer blocks.
        hidden_dim: Integer. Width of the predictions.
        num_heads: Integer. Number of attention heads; the head size must be
            divisible by 4.
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

    Call arguments:
        context: Float tensor of shape `(batch, tokens, context_dim)`.
        context_coordinates: Float tensor of shape `(batch or 1, tokens, 2)`.
        coordinates: Float tensor of shape `(batch or 1, predictions, 2)`: where
            to predict, row and column in `[0, 1]`.
        num_layers: Optional integer. Runs only this many of the first blocks.
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

    def build(self, context_shape, *args, **kwargs):
        super().build(context_shape)
        for block in self.blocks:
            block.build(
                (None, None, self.hidden_dim), context_shape=context_shape
            )

    def predict_tokens(
        self,
        blocks,
        context,
        context_coordinates,
        tokens,
        coordinates,
        drop_path,
    ):
        outputs = run_blocks(
            blocks,
            tokens,
            drop_path,
            context=context,
            **self.turning(
                coordinates=coordinates,
                context_coordinates=context_coordinates,
            ),
        )
        for output in outputs:
            tokens = output
        return tokens

    def attention_weights(self, context, context_coordinates, coordinates):
        """Returns how much each query attends to each token in the first block.

        Args:
            context: As in a call, like `context_coordinates` and `coordinates`.

        Returns:
            Float32 tensor of shape `(batch, num_heads, predictions, tokens)`.
        """
        block = self.blocks[0]
        return block.attention.attention_weights(
            block.attention_norm(self.mask_tokens(context, coordinates)),
            context=ops.cast(context, self.compute_dtype),
            **self.turning(
                coordinates=coordinates,
                context_coordinates=context_coordinates,
            ),
        )
