import keras

from keras_capi.encoders.vit import ViT
from keras_capi.ops.images.sobel_filter import sobel_filter

NUM_DIRECTIONS = 2


@keras.saving.register_keras_serializable(package="keras_capi")
class SobelViT(ViT):
    """Vision transformer that sees the edges of grey images.

    Colours are easy to tell apart, and a network that makes its own targets may
    learn nothing else. Like any other, this one takes normalised colour images,
    but it first applies `keras_capi.ops.sobel_filter`, as the networks of
    DeepCluster do.

    The arguments are those of `keras_capi.encoders.ViT`; `image_shape` is the
    shape of the images before the filter.

    Call arguments and output:
        Those of `keras_capi.encoders.ViT`.

    Example:

    >>> encoder = keras_capi.encoders.SobelViT(
    ...     8, 2, 48, 4, image_shape=(32, 32, 3)
    ... )
    >>> features = encoder(keras.random.uniform((2, 32, 32, 3)))
    >>> features["feature_map"].shape  # (2, 4, 4, 48)

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520), section 3.4
    """

    def build(self, images_shape):
        super().build((*images_shape[:-1], NUM_DIRECTIONS))

    def embed(self, images, visible_indices=None):
        return super().embed(sobel_filter(images), visible_indices)
