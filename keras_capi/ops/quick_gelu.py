from keras import ops


def quick_gelu(x):
    """Computes `x * sigmoid(1.702 x)`, an approximation of GELU.

    Image GPT and CLIP use it in place of exact GELU.

    Args:
        x: Float tensor of any shape.

    Returns:
        Tensor of the same shape.

    Example:

    >>> keras_capi.ops.quick_gelu(keras.random.normal((2, 6, 32))).shape

    Reference:

    - [Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415), section 2
    """
    return ops.multiply(x, ops.sigmoid(1.702 * x))
