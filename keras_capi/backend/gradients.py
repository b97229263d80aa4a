"""Gradients within a forward pass, and gradients for optimizers."""

from keras_capi.backend.active import BACKEND


def value_and_gradients(function, tensors):
    """Differentiates a function, independently of any outer gradient.

    The results are constants to whatever uses them: they have no gradient.

    Args:
        function: Function from a list of tensors to a scalar tensor. It must
            not assign variables.
        tensors: List of float tensors.

    Returns:
        Tuple of the scalar and the list of its gradients.
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
    """Returns gradients as dense tensors, of the shapes of their variables.

    For a variable whose rows were gathered, TensorFlow has slices, with a row
    repeated as often as it was used. Keras would square them one by one, where
    the square of their sum is needed: in moments, and in the norms for
    clipping.

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
