import keras
import numpy as np
from keras import ops

from keras_capi.layers.norms.channel_statistics import channel_statistics
from keras_capi.ops.images.color_margin import MARGIN
from keras_capi.tokenizers.dalle_block import DALLEBlock
from keras_capi.tokenizers.dalle_block import make_convolution
from keras_capi.tokenizers.tokenizer import Tokenizer
from keras_capi.validation import check_images
from keras_capi.validation import check_positive_integer

PATCH_SIZE = 8
NUM_CHANNELS = 3
# How much wider each group of blocks is than the first. The map is halved after
# all but the last.
WIDTHS = (1, 2, 4, 8)
KERNEL_SIZES = (3, 3, 3, 1)


@keras.saving.register_keras_serializable(package="keras_capi")
class DALLETokenizer(Tokenizer):
    """DALL-E's frozen network that names each patch by one of 8,192 words.

    The encoder of the discrete variational autoencoder that was trained for
    DALL-E on 250 million images. BEiT predicts its words. It is not trained
    here: load the published weights first.

    Args:
        vocabulary_size: Integer. Number of words. Defaults to `8192`.
        hidden_dim: Integer. Width of the first blocks; the last are 8 times as
            wide. Defaults to `256`.
        num_blocks: Integer. Residual blocks in each of four groups. Defaults to
            `2`.
        mean: Sequence of three numbers, what was subtracted from each channel
            of images in `[0, 1]` to normalise them, or `None` for that of
            `keras_capi.layers.ImageNetNormalization`. Defaults to `None`.
        standard_deviation: The same for what the channels were then divided by.
            Give both or neither. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, 3)`, normalised;
            height and width divisible by 8.

    Output shape:
        `(batch, rows, columns, vocabulary_size)`, scores of words.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> tokenizer = keras_capi.tokenizers.DALLETokenizer(64, hidden_dim=8)
    >>> images = np.random.rand(2, 32, 32, 3).astype("float32")
    >>> tokenizer.tokenize(images, grid_size=(4, 4)).shape  # (2, 16)

    Reference:

    - [DALL-E](https://arxiv.org/abs/2102.12092), appendix A
    """

    def __init__(
        self,
        vocabulary_size=8192,
        hidden_dim=256,
        num_blocks=2,
        mean=None,
        standard_deviation=None,
        **kwargs,
    ):
        super().__init__(
            PATCH_SIZE,
            vocabulary_size,
            NUM_CHANNELS,
            # Half precision would round pixels before they are mapped.
            autocast=False,
            **{"trainable": False, **kwargs},
        )
        check_positive_integer("hidden_dim", hidden_dim)
        check_positive_integer("num_blocks", num_blocks)
        self.hidden_dim = hidden_dim
        self.num_blocks = num_blocks
        self.mean, self.standard_deviation = channel_statistics(
            mean, standard_deviation, NUM_CHANNELS
        )
        dtype = self.dtype_policy
        self.stem = make_convolution(hidden_dim, 7, dtype, "stem")
        self.stem.build((None, None, None, NUM_CHANNELS))
        self.blocks, width = [], hidden_dim
        gain = 1.0 / (len(WIDTHS) * num_blocks) ** 2
        for index in range(len(WIDTHS) * num_blocks):
            block = DALLEBlock(
                hidden_dim * WIDTHS[index // num_blocks],
                KERNEL_SIZES,
                gain,
                dtype=dtype,
                name=f"block_{index}",
            )
            block.build((None, None, None, width))
            width = block.width
            self.blocks.append(block)
        # In half precision, a close second could become the best word.
        self.head = make_convolution(vocabulary_size, 1, "float32", "head")
        self.head.build((None, None, None, width))
        if not self.trainable:
            self.freeze()
        self.built = True

    def map_pixels(self, images):
        """Maps normalised images to the network's inputs."""
        inner = 1 - 2 * MARGIN
        scale = inner * np.array(self.standard_deviation)
        offset = inner * np.array(self.mean) + MARGIN
        scale, offset = (
            ops.convert_to_tensor(values, "float32")
            for values in (scale, offset)
        )
        return ops.cast(images, "float32") * scale + offset

    def call(self, images, training=None):
        check_images(images, PATCH_SIZE, NUM_CHANNELS)
        features = self.stem(self.map_pixels(images))
        for index, block in enumerate(self.blocks, start=1):
            features = block(features)
            is_last = index == len(self.blocks)
            if index % self.num_blocks == 0 and not is_last:
                # Without explicit strides, Keras 3.15 uses wrong ones on JAX.
                features = ops.max_pool(
                    features, 2, strides=2, data_format="channels_last"
                )
        return self.head(ops.relu(features))

    def compute_output_shape(self, images_shape):
        count, height, width, _ = images_shape
        grid = (None if n is None else n // PATCH_SIZE for n in (height, width))
        return (count, *grid, self.vocabulary_size)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_blocks": self.num_blocks,
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
        }
