import keras

from keras_capi.encoders.vit import ViT
from keras_capi.layers.norms.layer_normalization import LayerNormalization

# What makes it AIM's `ViT`, and cannot be chosen.
FIXED = {
    "class_token": False,
    "num_register_tokens": 0,
    "positions": "sine",
    "interpolation_offset": 0.0,
    "interpolation_antialias": False,
    "relative_positions": None,
    "use_bias": False,
    "use_key_bias": False,
    "layer_scale": None,
    "post_norm": False,
    "attention_dropout_rate": 0.0,
}


@keras.saving.register_keras_serializable(package="keras_capi")
class AIMEncoder(ViT):
    """The vision transformer of AIM.

    A `keras_capi.encoders.ViT` without class token, with fixed positions,
    without biases in its blocks, and with a norm after the patch embedding. It
    attends to all patches in both directions; only the method,
    `keras_capi.methods.AIM`, makes attention causal.

    Args:
        patch_size: Integer. Side of a patch in pixels. Defaults to `14`.
        num_layers: Integer. Number of blocks. Defaults to `24`.
        hidden_dim: Integer, divisible by 4. Width of the tokens. Defaults to
            `1536`.
        num_heads: Integer. Number of attention heads. Defaults to `12`.
        image_shape: Tuple `(height, width, channels)`: the size that positions
            are made for. Images of other sizes can be encoded too. Defaults to
            `(224, 224, 3)`.
        mlp_dim: Integer or `None`. Hidden width of the MLPs; `None` is `4 *
            hidden_dim`. Defaults to `None`.
        drop_path_rate: Float in `[0, 1)`. Stochastic depth of the last block;
            it grows linearly from 0 in the first one. Defaults to `0.0`.
        kernel_initializer: Initializer of the kernels of the blocks. Defaults
            to `"glorot_uniform"`.
        patch_initializer: Initializer of the kernel of the patch embedding,
            seen as a matrix. Defaults to `"glorot_uniform"`, as published.
        pad: Boolean. Whether to take images of any size, see
            `keras_capi.encoders.Encoder`. Defaults to `False`.
        seed: Integer or `None`. Seed of the stochastic depth. Defaults to
            `None`.
        lora_rank: Integer or `None`. Rank to call `enable_lora` with; `None`
            adds no LoRA. Defaults to `None`.

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
      those of AIM-0.6B
    """

    def __init__(
        self,
        patch_size=14,
        num_layers=24,
        hidden_dim=1536,
        num_heads=12,
        image_shape=(224, 224, 3),
        mlp_dim=None,
        drop_path_rate=0.0,
        kernel_initializer="glorot_uniform",
        patch_initializer="glorot_uniform",
        pad=False,
        seed=None,
        lora_rank=None,
        **kwargs,
    ):
        super().__init__(
            patch_size,
            num_layers,
            hidden_dim,
            num_heads,
            image_shape=image_shape,
            mlp_dim=mlp_dim,
            drop_path_rate=drop_path_rate,
            kernel_initializer=kernel_initializer,
            patch_initializer=patch_initializer,
            pad=pad,
            seed=seed,
            lora_rank=lora_rank,
            **FIXED,
            **kwargs,
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
