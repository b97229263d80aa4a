import keras
from keras import ops

from keras_capi.encoders.encoder import Encoder
from keras_capi.layers.convolution_stages import build_stages
from keras_capi.layers.convolution_stages import make_stages
from keras_capi.layers.convolution_stages import run_stages
from keras_capi.ops.positions.tables import patch_cells
from keras_capi.ops.positions.visible_positions import visible_positions
from keras_capi.ops.tokens import gather_tokens
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class ConvolutionalEncoder(Encoder):
    """A small convolutional network, for tokenizers.

    Each stage halves the image and adds a residual block. The features of a
    patch also depend on its neighbours, so patches cannot be left out before
    the network, as with transformers: all are computed.

    Args:
        num_stages: Integer. How often the image is halved in size: the side of
            a patch is `2**num_stages` pixels.
        hidden_dim: Integer. Width of all stages. Defaults to `256`.
        image_shape: Tuple `(height, width, channels)`. Height and width may be
            `None`. Defaults to `(None, None, 3)`.

    Call arguments:
        images: As for `keras_capi.encoders.Encoder`, like all others.

    Output shape:
        As for `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> encoder = keras_capi.encoders.ConvolutionalEncoder(3, hidden_dim=16)
    >>> images = np.random.rand(2, 32, 32, 3).astype("float32")
    >>> encoder.predict(images)["feature_map"].shape  # (2, 4, 4, 16)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), whose code contains it
    """

    def __init__(
        self,
        num_stages,
        hidden_dim=256,
        image_shape=(None, None, 3),
        **kwargs,
    ):
        check_positive_integer("num_stages", num_stages)
        super().__init__(
            2**num_stages,
            # The final residual block counts as one: only after it are there
            # features of all patches.
            num_layers=1,
            hidden_dim=hidden_dim,
            num_prefix_tokens=0,
            image_shape=image_shape,
            **kwargs,
        )
        self.num_stages = num_stages
        self.convolutions, self.residuals = make_stages(
            keras.layers.Conv2D, num_stages, hidden_dim, self.dtype_policy
        )
        self.blocks = self.residuals[-1:]
        build_stages(self.convolutions, self.residuals, self.image_shape[-1])
        self.finish()

    def embed(self, images, visible_indices=None):
        features = run_stages(self.convolutions, self.residuals, images)
        _, rows, columns, _ = ops.shape(features)
        tokens = ops.reshape(features, (-1, rows * columns, self.hidden_dim))
        positions = patch_cells((rows, columns))[None]
        if visible_indices is not None:
            tokens = gather_tokens(tokens, visible_indices)
        return tokens, visible_positions(positions, visible_indices)

    def encode(
        self,
        tokens,
        positions,
        layers=(),
        training=None,
        normalize=True,
        attention_mask=None,
    ):
        if attention_mask is not None:
            raise ValueError(
                "Convolutions see all patches around: a method that needs an "
                "attention mask needs another encoder, such as `ViT`. "
                f"Received: {type(self).__name__} with an `attention_mask`"
            )
        return self.name_outputs({self.num_layers: tokens}, positions, layers)

    def get_config(self):
        config = {**super().get_config(), "num_stages": self.num_stages}
        own = ("patch_size", "num_layers")
        return {k: v for k, v in config.items() if k not in own}
