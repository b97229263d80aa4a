"""The devices of the backend."""

import functools

from keras_capi.backend.active import BACKEND


@functools.cache
def has_accelerator():
    """Returns whether there is a device other than the CPU, such as a GPU.

    If there is one, every backend computes on it by default.
    """
    if BACKEND == "jax":
        import jax

        return jax.default_backend() != "cpu"
    if BACKEND == "torch":
        from keras import ops

        return ops.zeros(()).device.type != "cpu"
    import tensorflow as tf

    devices = tf.config.list_logical_devices()
    return any(device.device_type in ("GPU", "TPU") for device in devices)
