import keras
from keras import ops

from keras_capi.ops.images.color_margin import remove_margin
from keras_capi.saving.base_model import BaseModel
from keras_capi.saving.quantization import serialize_dtype
from keras_capi.tokenizers.dalle_block import DALLEBlock
from keras_capi.tokenizers.dalle_block import make_convolution
from keras_capi.tokenizers.dalle_tokenizer import NUM_CHANNELS
from keras_capi.tokenizers.dalle_tokenizer import WIDTHS
from keras_capi.validation import check_positive_integer

KERNEL_SIZES = (1, 3, 3, 3)


@keras.saving.register_keras_serializable(package="keras_capi")
class DALLEDecoder(BaseModel):
    """Turns DALL-E's words back into images.

    The decoder of the autoencoder whose encoder is
    `keras_capi.tokenizers.DALLETokenizer`. No method needs it: it shows what
    words mean, and what was lost. It is not trained.

    Args:
        vocabulary_size: Integer. Number of words. Defaults to `8192`.
        hidden_dim: Integer. Width of the last blocks; the first are 8 times as
            wide. Defaults to `256`.
        initial_dim: Integer. Width of a word. Defaults to `128`.
        num_blocks: Integer. Residual blocks in each of four groups. Defaults to
            `2`.

    Call arguments:
        words: Float tensor of shape `(batch, rows, columns, vocabulary_size)`:
            the share of each word, usually one-hot.

    Output shape:
        `(batch, 8 * rows, 8 * columns, 6)`: the locations of three colours,
        before a sigmoid, and the logarithms of their scales.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> decoder = keras_capi.tokenizers.DALLEDecoder(64, 8, initial_dim=8)
    >>> decoder.decode(np.zeros((2, 4, 4), "int32")).shape  # (2, 32, 32, 3)

    Reference:

    - [DALL-E](https://arxiv.org/abs/2102.12092), appendix A
    """

    def __init__(
        self,
        vocabulary_size=8192,
        hidden_dim=256,
        initial_dim=128,
        num_blocks=2,
        **kwargs,
    ):
        super().__init__(**{"trainable": False, **kwargs})
        check_positive_integer("vocabulary_size", vocabulary_size)
        check_positive_integer("hidden_dim", hidden_dim)
        check_positive_integer("initial_dim", initial_dim)
        check_positive_integer("num_blocks", num_blocks)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.initial_dim = initial_dim
        self.num_blocks = num_blocks
        dtype = self.dtype_policy
        # As published; the rest may run in half precision.
        self.stem = make_convolution(initial_dim, 1, "float32", "stem")
        self.stem.build((None, None, None, vocabulary_size))
        self.blocks, width = [], initial_dim
        gain = 1.0 / (len(WIDTHS) * num_blocks) ** 2
        for index in range(len(WIDTHS) * num_blocks):
            block = DALLEBlock(
                hidden_dim * WIDTHS[::-1][index // num_blocks],
                KERNEL_SIZES,
                gain,
                dtype=dtype,
                name=f"block_{index}",
            )
            block.build((None, None, None, width))
            width = block.width
            self.blocks.append(block)
        self.head = make_convolution(2 * NUM_CHANNELS, 1, dtype, "head")
        self.head.build((None, None, None, width))
        for layer in self.layers:
            layer.trainable = self.trainable
        self.built = True

    def call(self, words, training=None):
        features = self.stem(words)
        for index, block in enumerate(self.blocks, start=1):
            features = block(features)
            is_last = index == len(self.blocks)
            if index % self.num_blocks == 0 and not is_last:
                features = ops.repeat(features, 2, axis=1)
                features = ops.repeat(features, 2, axis=2)
        return self.head(ops.relu(features))

    def decode(self, token_ids):
        """Decodes words into images.

        Args:
            token_ids: Integer tensor of shape `(batch, rows, columns)`.

        Returns:
            Float32 tensor of shape `(batch, 8 * rows, 8 * columns, 3)`, colours
            in `[0, 1]`.
        """
        words = ops.one_hot(token_ids, self.vocabulary_size, dtype="float32")
        statistics = ops.cast(self(words, training=False), "float32")
        return remove_margin(ops.sigmoid(statistics[..., :NUM_CHANNELS]))

    def compute_output_shape(self, words_shape):
        count, rows, columns, _ = words_shape
        scale = 2 ** (len(WIDTHS) - 1)
        size = (None if n is None else n * scale for n in (rows, columns))
        return (count, *size, 2 * NUM_CHANNELS)

    def get_config(self):
        return {
            **super().get_config(),
            "dtype": serialize_dtype(self),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "initial_dim": self.initial_dim,
            "num_blocks": self.num_blocks,
        }
