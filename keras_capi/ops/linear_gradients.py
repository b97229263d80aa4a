from keras import ops

from keras_capi import backend


def linear_gradients(inputs, errors):
    """Returns the gradients of a linear layer's kernel and bias.

    Args:
        inputs: Float tensor of shape `(..., width)`.
        errors: Float32 tensor of shape `(..., units)`: the gradient with
            respect to the outputs.

    Returns:
        Two float32 tensors of shapes `(width, units)` and `(units,)`. The first
        is a product in the dtype of `inputs`.
    """
    flat = ops.reshape(errors, (-1, ops.shape(errors)[-1]))
    inputs = ops.reshape(inputs, (-1, ops.shape(inputs)[-1]))
    product = backend.matrix_product(
        ops.transpose(inputs), ops.cast(flat, inputs.dtype)
    )
    return ops.cast(product, "float32"), ops.sum(flat, axis=0)
