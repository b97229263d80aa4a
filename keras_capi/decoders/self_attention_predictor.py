import math

import keras
from keras import ops

from keras_capi.decoders.known_grid_size import known_grid_size
from keras_capi.decoders.mask_token_decoder import MaskTokenDecoder
from keras_capi.decoders.visible_tokens import check_visible_tokens
from keras_capi.layers.blocks.default_num_heads import default_num_heads

# As published, for encoders of all sizes.
HIDDEN_DIM = 384


@keras.saving.register_keras_serializable(package="keras_capi")
class SelfAttentionPredictor(MaskTokenDecoder):
    """Predicts the features of blocks of patches from the visible ones.

    A separate, narrow vision transformer like `MaskTokenDecoder`, but it
    predicts several blocks independently: a block's mask tokens attend to the
    context and to each other, and see nothing of other blocks. Both the context
    and blocks may be padded.

    Args:
        context_dim: Integer. Width of the encoder's tokens.
        output_dim: Integer. Width of the features to predict.
        grid_size: Tuple of two integers: rows and columns of patches. Positions
            are resampled for other sizes.
        num_layers: Integer. Number of transformer blocks. Defaults to `12`.
        hidden_dim: Integer, divisible by 4. Width of the tokens. Defaults to
            `384`.
        num_heads: Integer. Attention heads; as published, as many as in the
            encoder. Defaults to `12`.
        mlp_dim: Integer or `None`. Hidden width of the MLPs; `None` is `4 *
            hidden_dim`. Defaults to `None`.
        kernel_initializer: Initializer of all kernels. `None` is normal with a
            standard deviation of 0.02. Defaults to `None`.

    Call arguments:
        prefix: Float tensor of shape `(batch, prefix, context_dim)`: class
            token and the like, which have no position; there may be none.
        patches: Float tensor of shape `(batch, visible, context_dim)`.
        visible_indices: Integer tensor of shape `(batch, visible)`: their
            row-major patch indices.
        predict_indices: Integer tensor of shape `(batch, blocks, predictions)`:
            the patches to predict.
        visible_mask: Optional Boolean tensor of the shape of `visible_indices`:
            which of them count. `None` is all.
        predict_mask: Optional Boolean tensor of the shape of `predict_indices`,
            with the same meaning.
        grid_size: Optional tuple of two integers: rows and columns of patches,
            if they differ from the constructor's.

    Output shape:
        `(batch, blocks, predictions, output_dim)`.

    Example:

    >>> predictor = keras_capi.decoders.SelfAttentionPredictor(
    ...     48, 48, (4, 4), num_layers=1, hidden_dim=32, num_heads=4
    ... )
    >>> indices = np.arange(16)[None]
    >>> predictor(
    ...     np.zeros((1, 0, 48)), np.zeros((1, 4, 48)),
    ...     indices[:, :4], indices[:, 4:].reshape(1, 2, 6),
    ... ).shape  # (1, 2, 6, 48)

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243), section 3 and appendix A.1
    """

    def __init__(
        self,
        context_dim,
        output_dim,
        grid_size,
        num_layers=12,
        hidden_dim=HIDDEN_DIM,
        num_heads=12,
        mlp_dim=None,
        kernel_initializer=None,
        **kwargs,
    ):
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.RandomNormal(stddev=0.02)
        super().__init__(
            context_dim,
            output_dim,
            grid_size,
            num_layers,
            hidden_dim,
            num_heads,
            mlp_dim,
            kernel_initializer,
            **kwargs,
        )

    @classmethod
    def for_encoder(cls, encoder, **arguments):
        """Returns a feature predictor with sizes that fit an encoder.

        Args:
            encoder: `keras_capi.encoders.Encoder`.
            **arguments: Other arguments of the constructor.
        """
        num_heads = encoder.get_config().get("num_heads")
        if num_heads is None:
            num_heads = default_num_heads(HIDDEN_DIM)
        # The published width, or the next one that the number of heads divides.
        unit = math.lcm(num_heads, 4)
        return cls(
            encoder.hidden_dim,
            encoder.hidden_dim,
            known_grid_size(encoder),
            **{
                "hidden_dim": math.ceil(HIDDEN_DIM / unit) * unit,
                "num_heads": num_heads,
                **arguments,
            },
        )

    def call(
        self,
        prefix,
        patches,
        visible_indices,
        predict_indices,
        visible_mask=None,
        predict_mask=None,
        grid_size=None,
    ):
        check_visible_tokens(patches, visible_indices)
        _, num_blocks, num_predictions = ops.shape(predict_indices)
        embedded = self.embedding(ops.concatenate([prefix, patches], axis=1))
        tokens = self.run_blocks(
            ops.repeat(embedded, num_blocks, axis=0),
            ops.repeat(visible_indices, num_blocks, axis=0),
            ops.reshape(predict_indices, (-1, num_predictions)),
            grid_size,
            _attention_mask(
                ops.shape(prefix)[1],
                visible_indices,
                predict_indices,
                visible_mask,
                predict_mask,
            ),
        )
        predictions = self.prediction(
            self.final_norm(tokens[:, -num_predictions:])
        )
        return ops.reshape(
            predictions, (-1, num_blocks, num_predictions, self.output_dim)
        )

    def compute_output_spec(
        self, prefix, patches, visible_indices, predict_indices, *args, **kwargs
    ):
        self.check_width(patches)
        check_visible_tokens(patches, visible_indices)
        return keras.KerasTensor(
            (patches.shape[0], *predict_indices.shape[1:], self.output_dim),
            self.compute_dtype,
        )


def _attention_mask(
    num_prefix_tokens,
    visible_indices,
    predict_indices,
    visible_mask,
    predict_mask,
):
    """Returns which tokens count, `(batch * blocks, 1, tokens)`, or `None`."""
    if visible_mask is None and predict_mask is None:
        return None
    _, num_blocks, num_predictions = ops.shape(predict_indices)
    if visible_mask is None:
        visible_mask = ops.ones_like(visible_indices, dtype="bool")
    if predict_mask is None:
        predict_mask = ops.ones_like(predict_indices, dtype="bool")
    visible_mask = ops.pad(
        visible_mask, [[0, 0], [num_prefix_tokens, 0]], constant_values=True
    )
    parts = [
        ops.repeat(visible_mask, num_blocks, axis=0),
        ops.reshape(predict_mask, (-1, num_predictions)),
    ]
    return ops.concatenate(parts, axis=1)[:, None]
