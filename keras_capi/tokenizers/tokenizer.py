import keras
from keras import ops

from keras_capi.ops.images.resize_images import resize_images
from keras_capi.saving.base_model import BaseModel
from keras_capi.saving.quantization import serialize_dtype
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_images
from keras_capi.validation import check_positive_integer


class Tokenizer(BaseModel):
    """Base class of networks that turn each patch of an image into a word.

    A word is the index of an entry in a vocabulary. The call of a subclass
    computes the scores of all words.

    Args:
        patch_size: Integer. Side of the patch that becomes one word, in pixels.
        vocabulary_size: Integer. Number of words.
        num_channels: Integer. Channels of the images.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`, height
            and width divisible by `patch_size`.

    Output shape:
        `(batch, rows, columns, vocabulary_size)`, scores of words.
    """

    def __init__(self, patch_size, vocabulary_size, num_channels, **kwargs):
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`. On
        # TensorFlow it could not pass on whether this is training.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive_integer("patch_size", patch_size)
        check_positive_integer("vocabulary_size", vocabulary_size)
        check_positive_integer("num_channels", num_channels)
        self.patch_size = patch_size
        self.vocabulary_size = vocabulary_size
        self.num_channels = num_channels

    def freeze(self):
        """Freezes all layers, so that words keep their meaning."""
        # Each part too: a model that is made frozen gets its parts later, and
        # on TensorFlow Keras skips what seems to be set already.
        for layer in self.layers:
            layer.trainable = False
        self.trainable = False

    def word_scores(self, images):
        """Returns the scores of all words, without noise.

        Args:
            images: As in a call.
        """
        return self(images, training=False)

    def tokenize(self, images, grid_size):
        """Returns the best word of each patch, without noise.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`, of
                any size: they are resized (bicubically, without aliasing) so
                that there are as many words as patches.
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            Int32 tensor of shape `(batch, rows * columns)`, row-major.
        """
        check_images(images, 1, self.num_channels)
        grid_size = check_grid_size(grid_size)
        size = [n * self.patch_size for n in grid_size]
        images = resize_images(images, size)
        words = ops.argmax(self.word_scores(images), axis=-1)
        num_patches = grid_size[0] * grid_size[1]
        return ops.reshape(ops.cast(words, "int32"), (-1, num_patches))

    def get_config(self):
        return {
            **super().get_config(),
            "dtype": serialize_dtype(self),
            "vocabulary_size": self.vocabulary_size,
        }
