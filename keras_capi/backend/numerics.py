"""Functions of `keras.ops` that some backends lack or cannot export."""

import sys

import keras
from keras import ops

from keras_capi.backend.active import BACKEND

EXPORTERS = ("keras.src.export", "tf2onnx", "jax.experimental.jax2tf")


def gelu(x):
    """Computes the exact `keras.ops.gelu`."""
    takes_erf = keras.backend.standardize_dtype(x.dtype) == "float32"
    if BACKEND == "tensorflow":
        # ONNX does not have `erfc`.
        takes_erf = takes_erf or _is_exporting()
    elif BACKEND == "jax":
        # TensorFlow 2.21 cannot read what JAX 0.10 writes for `erf`.
        takes_erf = takes_erf and not _is_exporting()
    if BACKEND != "torch" and takes_erf:
        # The same without `erfc`, which is slow in XLA. It loses digits where
        # the sum is close to 0; in half precision, all of them.
        return 0.5 * x * (1.0 + ops.erf(x * 0.5**0.5))
    return ops.gelu(x, approximate=False)


def _is_exporting():
    """Returns whether a function is being traced for export to a file.

    Keras does not tell, and it is Keras that exports a user's model that
    contains one of ours.
    """
    if BACKEND == "tensorflow":
        import tensorflow as tf

        if tf.executing_eagerly():
            return False
    frame = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(EXPORTERS):
            return True
        frame = frame.f_back
    return False


def rms_normalization(x, scale, epsilon):
    """Normalises the last axis like `keras.ops.rms_normalization`."""
    if _is_traced_by_torch():
        # ONNX and OpenVINO lack torch's fused norm.
        dtype = x.dtype
        # In half precision squares would overflow.
        x = ops.cast(x, "float32")
        mean_square = ops.mean(ops.square(x), axis=-1, keepdims=True)
        x = x * ops.rsqrt(mean_square + epsilon)
        return ops.cast(x if scale is None else x * scale, dtype)
    return ops.rms_normalization(x, scale=scale, epsilon=epsilon)


def layer_normalization(x, scale, bias, epsilon):
    """Normalises the last axis like `keras.ops.layer_normalization`."""
    if BACKEND == "jax" or _is_traced_by_torch():
        # For torch's export to ONNX, as its fused norm needs a known width; on
        # JAX, as Keras also shifts by a tensor for each element, whose gradient
        # XLA computes repeatedly.
        dtype = x.dtype
        x = ops.cast(x, "float32")
        x = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(x), axis=-1, keepdims=True)
        x = x * ops.rsqrt(variance + epsilon) * scale + bias
        return ops.cast(x, dtype)
    return ops.layer_normalization(x, scale, bias, axis=-1, epsilon=epsilon)


def _is_traced_by_torch():
    if BACKEND != "torch":
        return False
    import torch

    return torch.jit.is_tracing()
