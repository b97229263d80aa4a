"""Compiled functions of arrays."""

from keras_capi.backend.active import BACKEND


def compiled(function):
    """Compiles a function of arrays, for many calls with equal shapes.

    On torch it is not compiled, as that takes minutes instead of seconds.

    Args:
        function: Callable of arrays without side effects that returns a
            structure of tensors.

    Returns:
        Callable of arrays.
    """
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    return function
