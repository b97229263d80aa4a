import keras
from keras import ops

from keras_capi.decoders.rotary_predictor import RotaryPredictor
from keras_capi.layers.blocks.block_stack import run_blocks
from keras_capi.layers.blocks.dense import Dense


@keras.saving.register_keras_serializable(package="keras_capi")
class JointPredictor(RotaryPredictor):
    """Predicts the features of patches by self-attention, like MAE's decoder.

    One of CAPI's ablations, which replaces `CrossAttentionPredictor`. The mask
    tokens and the encoder's output, including registers, form one sequence
    whose tokens all attend to each other: predictions see each other, and the
    context changes from block to block. This costs more, and in the paper it
    learns weaker features.

    The context is first projected to the width of the predictor. The final norm
    has no scale.

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

    >>> predictor = keras_capi.decoders.JointPredictor(2, 32, 4)
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> context = keras.random.normal((5, 6, 32))
    >>> predictor(context, coordinates, coordinates).shape  # (5, 6, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), table 1 (predictor)
    - [MAE](https://arxiv.org/abs/2111.06377), section 3 (decoder)
    """

    def build(self, context_shape, *args, **kwargs):
        super().build(context_shape)
        with keras.RematScope(mode=None):
            self.embedding = Dense(
                self.hidden_dim,
                use_bias=False,
                dtype=self.dtype_policy,
                name="embedding",
            )
            self.embedding.build(context_shape)
        for block in self.blocks:
            block.build((None, None, self.hidden_dim))

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
            self._join(context, tokens),
            drop_path,
            **self._turning(context_coordinates, coordinates),
        )
        for output in outputs:
            together = output
        return together[:, ops.shape(context)[1] :]

    def attention_weights(self, context, context_coordinates, coordinates):
        """Returns how much queries attend to the context in the first block.

        Args:
            context: As in a call, like `context_coordinates` and `coordinates`.

        Returns:
            Float32 tensor of shape `(batch, num_heads, predictions, tokens)`.
            The remainder to 1 goes to the mask tokens.
        """
        block = self.blocks[0]
        together = self._join(
            ops.cast(context, self.compute_dtype),
            self.mask_tokens(context, coordinates),
        )
        weights = block.attention.attention_weights(
            block.attention_norm(together),
            **self._turning(context_coordinates, coordinates),
        )
        count = ops.shape(context)[1]
        return weights[:, :, count:, :count]

    def _join(self, context, tokens):
        return ops.concatenate([self.embedding(context), tokens], axis=1)

    def _turning(self, context_coordinates, coordinates):
        # One of them may have a batch of 1 while the other has the whole batch.
        together = [
            _repeat_like(context_coordinates, coordinates),
            _repeat_like(coordinates, context_coordinates),
        ]
        return self.turning(coordinates=ops.concatenate(together, axis=1))


def _repeat_like(coordinates, others):
    """Gives coordinates the batch of others, of which there may be none."""
    zeros = 0.0 * ops.sum(others, axis=1, keepdims=True)
    return ops.add(coordinates, zeros)
