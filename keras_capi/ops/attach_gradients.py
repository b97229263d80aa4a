from keras import ops


def attach_gradients(value, gradients):
    """Returns a scalar whose gradient is already known.

    Its gradient does not need the tensors that it was computed from, so that
    they need not stay in memory.

    Args:
        value: Scalar tensor.
        gradients: List of pairs of a variable, or a tensor, and the gradient of
            `value` with respect to it.

    Returns:
        Scalar tensor equal to `value`.

    Example:

    >>> x = keras.ops.ones((3,))
    >>> keras_capi.ops.attach_gradients(keras.ops.sum(x**2), [(x, 2 * x)])
    """
    slopes = sum(
        ops.sum(ops.multiply(variable, ops.stop_gradient(gradient)))
        for variable, gradient in gradients
    )
    # Zero, with the gradient of the slopes.
    return ops.stop_gradient(value) + (slopes - ops.stop_gradient(slopes))
