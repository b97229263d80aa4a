from keras import ops


def swiglu(x):
    """SwiGLU: multiplies one half of the channels by a gate from the other.

    An activation for MLPs: `silu(first) * second`. The output has half as many
    channels as the input.

    Args:
        x: Float tensor of shape `(..., 2 * width)`.

    Returns:
        Tensor of shape `(..., width)`.

    Example:

    >>> keras_capi.ops.swiglu(keras.random.normal((2, 6, 32))).shape

    Reference:

    - [Shazeer, 2020](https://arxiv.org/abs/2002.05202)
    - [DINOv2](https://arxiv.org/abs/2304.07193), section 5
    """
    gate, values = ops.split(x, 2, axis=-1)
    return ops.silu(gate) * values
