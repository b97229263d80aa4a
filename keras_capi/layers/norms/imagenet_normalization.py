import keras
import numpy as np
from keras import ops

from keras_capi.validation import known_channels

MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="keras_capi")
class ImageNetNormalization(keras.layers.Layer):
    """Normalises RGB images by the mean and deviation of ImageNet.

    Published CAPI weights expect images normalised in this way, and it suits
    training on photographs in general. Put it before the backbone, after
    augmentations that take pixels. Computes `((images - low) / (high - low) -
    mean) / std`, always in float32.

    Args:
        value_range: Tuple of two floats, `low < high`: the values of black and
            of white. Defaults to `(0, 255)`.

    Call arguments:
        images: Float or integer tensor of shape `(..., 3)`, in RGB order.

    Output shape:
        That of `images`. The dtype is the compute dtype of the layer.

    Raises:
        ValueError: If `value_range` is not two ascending numbers, or if the
            images do not have three channels.

    Example:

    >>> images = np.random.randint(0, 256, (8, 96, 128, 3), "uint8")
    >>> normalized = keras_capi.layers.ImageNetNormalization()(images)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), implementation details
    """

    def __init__(self, value_range=(0, 255), **kwargs):
        # Without autocast, as half precision would round pixels before the mean
        # is subtracted.
        super().__init__(autocast=False, **kwargs)
        self.value_range = _check_value_range(value_range)
        self._scale, self._offset = imagenet_scale_and_offset(self.value_range)
        self.built = True

    def call(self, images):
        known_channels(images)
        _check_channels(images.shape)
        scale = ops.convert_to_tensor(self._scale, "float32")
        offset = ops.convert_to_tensor(self._offset, "float32")
        images = ops.cast(images, "float32") * scale + offset
        return ops.cast(images, self.compute_dtype)

    def compute_output_shape(self, images_shape):
        _check_channels(images_shape)
        return images_shape

    def get_config(self):
        return {**super().get_config(), "value_range": self.value_range}


def imagenet_scale_and_offset(value_range):
    """Returns the scale and offset of each channel that normalise pixels.

    Args:
        value_range: Tuple of two floats: the values of black and of white.

    Returns:
        Tuple of two float64 arrays of shape `(3,)`.
    """
    low, high = value_range
    deviation = np.array(STANDARD_DEVIATION)
    scale = 1.0 / ((high - low) * deviation)
    return scale, -low * scale - np.array(MEAN) / deviation


def _check_value_range(value_range):
    try:
        low, high = (float(bound) for bound in value_range)
        is_ascending = np.isfinite(high - low) and low < high
    except (TypeError, ValueError):
        is_ascending = False
    if not is_ascending:
        raise ValueError(
            "`value_range` must be two numbers with low < high. "
            f"Received: value_range={value_range!r}"
        )
    return low, high


def _check_channels(shape):
    if shape[-1] != len(MEAN):
        raise ValueError(
            "`images` must have 3 channels (RGB), on the last axis. For other "
            "channels use `keras.layers.Normalization`. "
            f"Received: images.shape={tuple(shape)}"
        )
