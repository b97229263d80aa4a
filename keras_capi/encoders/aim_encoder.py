import keras

from keras_capi.encoders.vit import ViT
from keras_capi.layers.layer_normalization import LayerNormalization

# What tells it from other `ViT`s, and is not to be chosen.
FIXED = {
    "class_token": False,
    "positions": "sine",
    "use_bias": False,
    "use_key_bias": False,
}


@keras.saving.register_keras_serializable(package="keras_capi")
class AIMEncoder(ViT):
    """Vision transformer of AIM.

    A `keras_capi.encoders.ViT` without class token, with fixed positions and
    without biases in its blocks, and with a norm behind the patch embedding. It
    attends to all patches, in both directions: the order is a matter of the
    method, `keras_capi.methods.AIM`.

    Args:
        patch_size: Integer. Side of a patch in pixels. Defaults to `14`.
        num_layers: Integer. Number of blocks. Defaults to `24`.
        hidden_dim: Integer, divisible by 4. Width of the tokens. Defaults to
            `1536`.
        num_heads: Integer. Number of attention heads. Defaults to `12`.
        **kwargs: Other arguments of `keras_capi.encoders.ViT`, but for
            `class_token`, `positions`, `use_bias` and `use_key_bias`.

    Call arguments and output:
        Those of `keras_capi.encoders.Encoder`, without a prefix.

    Example:

    >>> encoder = keras_capi.encoders.AIMEncoder(
    ...     8, 2, 48, 4, image_shape=(32, 32, 3)
    ... )
    >>> features = encoder(keras.random.uniform((2, 32, 32, 3)))
    >>> features["feature_map"].shape  # (2, 4, 4, 48)

    Reference:

    - [AIM](https://arxiv.org/abs/2401.08541), section 3.1: the defaults are
      those of AIM-0.6B, all of which have patches of 14 pixels
    """

    def __init__(
        self,
        patch_size=14,
        num_layers=24,
        hidden_dim=1536,
        num_heads=12,
        **kwargs,
    ):
        super().__init__(
            patch_size, num_layers, hidden_dim, num_heads, **{**kwargs, **FIXED}
        )

    def build(self, images_shape):
        super().build(images_shape)
        with keras.RematScope(mode=None):
            self.patch_norm = LayerNormalization(
                dtype=self.dtype_policy, name="patch_norm"
            )
        self.patch_norm.build((None, None, self.hidden_dim))

    def embed(self, images, visible_indices=None):
        tokens, positions = super().embed(images, visible_indices)
        return self.patch_norm(tokens), positions

    def get_config(self):
        config = super().get_config()
        return {k: v for k, v in config.items() if k not in FIXED}
