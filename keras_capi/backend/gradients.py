"""Gradients within a forward pass, and as optimizers take them."""

from keras_capi.backend.active import BACKEND


def value_and_gradients(function, tensors):
    """Differentiates a function, whatever is differentiated around it.

    Nothing flows on from the results: they are constants to what comes after.

    Args:
        function: Function from a list of tensors to a scalar tensor. It must
            not assign variables.
        tensors: List of float tensors.

    Returns:
        A tuple of the scalar, and of the list of its gradients.
    """
    if BACKEND == "jax":
        import jax

        tensors = [jax.lax.stop_gradient(tensor) for tensor in tensors]
        return jax.value_and_grad(function)(tensors)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensors = [tf.stop_gradient(tensor) for tensor in tensors]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensors)
            value = function(tensors)
        gradients = tape.gradient(value, tensors)
        return tf.stop_gradient(value), [tf.stop_gradient(x) for x in gradients]
    import torch

    with torch.enable_grad():
        tensors = [tensor.detach().requires_grad_() for tensor in tensors]
        value = function(tensors)
        gradients = torch.autograd.grad(value, tensors)
    return value.detach(), list(gradients)


def dense_gradients(gradients):
    """Returns gradients as tensors of the shapes of their variables.

    TensorFlow has slices for a variable of which rows were gathered, the same
    row as often as it was taken. Keras squares them one by one, where the
    square of their sum is asked for: in moments, and in norms to clip by.

    Args:
        gradients: List of tensors, slices or `None`s.
    """
    if BACKEND != "tensorflow":
        return gradients
    import tensorflow as tf

    return [
        tf.convert_to_tensor(x) if isinstance(x, tf.IndexedSlices) else x
        for x in gradients
    ]
