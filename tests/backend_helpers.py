"""What a test cannot write in `keras.ops`: compiling and gradients."""

import os

import keras
import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

BACKEND = keras.backend.backend()

# The ways in which users' functions run; torch runs eagerly only.
COMPILATIONS = {
    "jax": ["eager", "xla"],
    "tensorflow": ["eager", "graph", "xla"],
    "torch": ["eager"],
}[BACKEND]

# Everything under test at its fastest, for tests that need many samples.
FASTEST = "xla" if BACKEND == "jax" else "eager"


def on_one_backend(reason):
    """Marks tests of what cannot differ between backends: torch's run them.

    Args:
        reason: String. Why it cannot.
    """
    return pytest.mark.skipif(BACKEND != "torch", reason=reason)


def flags_of_two_devices():
    """The flags of XLA in a process in which JAX is to have two devices."""
    count = "--xla_force_host_platform_device_count=2"
    return f"{os.environ.get('XLA_FLAGS', '')} {count}".strip()


def compile_function(function, compilation, unknown_batch=False):
    """Compiles a function of tensors that has no state.

    Args:
        function: Function of positional tensors.
        compilation: One of `COMPILATIONS`.
        unknown_batch: Boolean. Whether to hide the first size of each argument
            from TensorFlow. The other backends always know it.

    Returns:
        Function of arrays.
    """
    if compilation == "eager":
        return lambda *arrays: function(*map(ops.convert_to_tensor, arrays))
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=compilation == "xla")

    def call(*arrays):
        if not unknown_batch:
            return compiled(*map(ops.convert_to_tensor, arrays))
        signature = [
            tf.TensorSpec([None, *array.shape[1:]], array.dtype)
            for array in arrays
        ]
        return compiled.get_concrete_function(*signature)(*arrays)

    return call


def compile_layer(layer, compilation, unknown_batch=False, **keywords):
    """Compiles a built layer, random state included.

    Args:
        layer: The layer. Its random state advances with each call.
        compilation: One of `COMPILATIONS`.
        unknown_batch: See `compile_function`.
        **keywords: Further arguments of the layer, constant.

    Returns:
        Function of the layer's positional arguments.
    """
    if BACKEND != "jax" or compilation == "eager":
        return compile_function(
            lambda *inputs: layer(*inputs, **keywords),
            compilation,
            unknown_batch,
        )
    import jax

    def stateless(values, *inputs):
        mapping = list(zip(layer.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = layer(*inputs, **keywords)
        return outputs, [scope.get_current_value(v) for v in layer.variables]

    stateless = jax.jit(stateless)

    def call(*inputs):
        values = [variable.value for variable in layer.variables]
        outputs, values = stateless(values, *inputs)
        for variable, value in zip(layer.variables, values, strict=True):
            variable.assign(value)
        return outputs

    return call


def gradients(function, *arrays):
    """Gradients of a scalar function of arrays.

    Returns:
        List of NumPy arrays; `None` where TensorFlow or torch finds no path,
        which `assert_no_gradient` takes for zero.
    """
    if BACKEND == "jax":
        import jax

        argnums = tuple(range(len(arrays)))
        gradient = jax.jit(jax.grad(function, argnums))
        return list(map(to_numpy, gradient(*arrays)))
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = function(*tensors)
        found = tape.gradient(result, tensors)
    else:
        import torch

        for tensor in tensors:
            tensor.requires_grad_(True)
        found = torch.autograd.grad(
            function(*tensors), tensors, allow_unused=True
        )
    return [None if g is None else to_numpy(g) for g in found]


def layer_gradients(layer, loss, *inputs, **keywords):
    """Gradients of a loss of a built layer without random state.

    Args:
        layer: The layer.
        loss: Function of the layer's outputs that returns a scalar.
        *inputs: Float arrays, the layer's positional arguments.
        **keywords: Further arguments of the layer, constant.

    Returns:
        Tuple of a list of gradients of the inputs and a dictionary of gradients
        of the trainable variables, by the last part of their path.
    """
    variables = layer.trainable_variables

    def function(*arrays):
        values, tensors = arrays[: len(variables)], arrays[len(variables) :]
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return loss(layer(*tensors, **keywords))

    values = [to_numpy(variable) for variable in variables]
    found = gradients(function, *values, *inputs)
    names = [variable.path.split("/")[-1] for variable in variables]
    return found[len(values) :], dict(zip(names, found, strict=False))


def assert_no_gradient(gradient):
    if gradient is not None:
        np.testing.assert_array_equal(gradient, 0)
