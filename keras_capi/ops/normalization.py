from keras import ops

from keras_capi import backend
from keras_capi.validation import check_positive


def l2_normalize(x, epsilon):
    """Divides vectors by `max(norm, epsilon)` along the last axis, in float32.

    Unlike a division by the norm, its gradient is finite at zero.

    Args:
        x: Float tensor of shape `(..., width)`.
        epsilon: Float. The smallest divisor.

    Returns:
        Float32 tensor of the shape of `x`.
    """
    check_positive("epsilon", epsilon)
    x = ops.cast(x, "float32")
    squared_norm = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squared_norm, float(epsilon) ** 2))


def layer_normalize(x, epsilon=1e-5):
    """Normalises the last axis to mean 0 and deviation 1.

    Layer normalisation without scale and bias, in float32: `(x - mean) /
    sqrt(variance + epsilon)`. Some methods predict features normalised in this
    way.

    Args:
        x: Float tensor of shape `(..., width)`.
        epsilon: Float. Added to the variance. Defaults to `1e-5`.

    Returns:
        Float32 tensor of the shape of `x`.

    Reference:

    - [I-JEPA](https://arxiv.org/abs/2301.08243), whose targets it normalises
    """
    check_positive("epsilon", epsilon)
    x = ops.cast(x, "float32")
    x = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(variance + epsilon)


def instance_normalize(x, epsilon=1e-5):
    """Normalises each channel of each image over its tokens.

    Like `layer_normalize`, but along the second to last axis. This removes what
    all tokens of an image have in common.

    Args:
        x: Float tensor of shape `(..., tokens, width)`.
        epsilon: Float. Added to the variance. Defaults to `1e-5`.

    Returns:
        Float32 tensor of the shape of `x`.

    Reference:

    - [data2vec](https://arxiv.org/abs/2202.03555), section 3.3
    """
    x = ops.swapaxes(x, -1, -2)
    return ops.swapaxes(layer_normalize(x, epsilon), -1, -2)


def rms_normalize(x, epsilon=1e-5, scale=None):
    """Divides by the root mean square of the last axis.

    The final norms of CAPI's encoder and predictor have no scale; those of the
    blocks have one.

    Args:
        x: Float tensor of shape `(..., width)`.
        epsilon: Float. Added to the mean square. Defaults to `1e-5`.
        scale: Float tensor of shape `(width,)` to multiply by, or `None`.
            Defaults to `None`.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    check_positive("epsilon", epsilon)
    x = ops.convert_to_tensor(x)
    return backend.rms_normalization(x, scale, epsilon)
