import keras
from keras import ops

from keras_capi.layers.build_in_constructor import build_in_constructor
from keras_capi.saving.base_model import BaseModel
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class FusedPredictor(BaseModel):
    """Makes the encoder itself predict, by adding mask tokens to its input.

    One of CAPI's ablations, which replaces `CrossAttentionPredictor`; BEiT,
    SimMIM and iBOT work like this. It has a mask token but no blocks: patch
    tokens and mask tokens go through all blocks of the encoder together, which
    has to describe what is visible and to guess what is not. In the paper it
    learns by far the weakest features of the three.

    The encoder only sees mask tokens at the positions to predict. To have one
    at every hidden position, as in those methods, predict all of them.

    Args:
        hidden_dim: Integer. Width of the encoder.

    Call arguments:
        tokens: Float tensor of shape `(batch, visible, hidden_dim)`.
        predict_indices: Tensor of shape `(batch, predictions)`. Only its shape
            matters.

    Output shape:
        `(batch, visible + predictions, hidden_dim)`: the tokens, followed by
        mask tokens.

    Example:

    >>> predictor = keras_capi.decoders.FusedPredictor(32)
    >>> tokens = keras.random.normal((5, 6, 32))
    >>> predictor(tokens, np.zeros((5, 3), "int32")).shape  # (5, 9, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), table 1 (predictor)
    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.3
    """

    def __init__(self, hidden_dim, **kwargs):
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive_integer("hidden_dim", hidden_dim)
        self.hidden_dim = hidden_dim
        self.blocks = []
        build_in_constructor(self, (None, None, hidden_dim))

    @classmethod
    def for_encoder(cls, encoder, dtype, name, **sizes):
        """Returns the mask token that an encoder lacks.

        Args:
            encoder: `keras_capi.encoders.RotaryViT`.
            dtype: The data type or policy of the layer.
            name: String.
            **sizes: Sizes of a predictor with blocks, which are ignored.
        """
        return cls(encoder.hidden_dim, dtype=dtype, name=name)

    def build(self, tokens_shape, *args, **kwargs):
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(self.hidden_dim,),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, tokens, predict_indices):
        mask_tokens = ops.broadcast_to(
            ops.cast(self.mask_token, self.compute_dtype),
            (*ops.shape(predict_indices), self.hidden_dim),
        )
        return ops.concatenate([tokens, mask_tokens], axis=1)

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
        tokens = encoder.patch_embedding(images, visible_indices)
        indices = ops.concatenate([visible_indices, predict_indices], axis=1)
        outputs = encoder.encode_tokens(
            self(tokens, predict_indices),
            encoder.patch_coordinates(images, indices),
            (encoder.num_layers,),
            training,
        )
        # Not counted from the end, as there may be none to predict.
        first = encoder.register_tokens.num_registers + ops.shape(tokens)[1]
        return outputs[encoder.num_layers][:, first:]

    def pool(self, encoder, outputs, training=None):
        """Returns the feature of an image: the mean of its patches.

        Args:
            encoder: `keras_capi.encoders.RotaryViT`.
            outputs: Dictionary, as returned by `CAPIBackbone.encode`.
            training: Boolean. Ignored.

        Returns:
            Tensor of shape `(batch, hidden_dim)`.
        """
        return ops.mean(outputs["patches"], axis=1)

    def look(self, encoder, outputs):
        """Returns nothing: all patches have the same weight."""
        return {}

    def list_unused_parts(self, uses_global):
        """Returns the layers that features do not depend on."""
        return [self]

    def compute_output_spec(self, tokens, predict_indices):
        counts = (tokens.shape[1], predict_indices.shape[1])
        count = None if None in counts else sum(counts)
        return keras.KerasTensor(
            (tokens.shape[0], count, self.hidden_dim), self.compute_dtype
        )

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim}
