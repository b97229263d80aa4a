"""Predictions during a training."""

import numpy as np
from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.processes import data_layout
from keras_capi.backend.processes import gather_alike
from keras_capi.backend.processes import join_parts
from keras_capi.backend.processes import pad
from keras_capi.backend.replicas import num_processes


def predict_together():
    """Returns whether all processes must predict when one of them does.

    On JAX they must, as the weights of a model are spread over all devices.
    """
    return BACKEND == "jax" and num_processes() > 1


def predict_parts(model, images, then):
    """Predicts on images that are spread over the processes.

    Where processes predict together, all must call this, even without images.

    Args:
        model: `keras.Model`.
        images: Tensor of shape `(part, height, width, channels)`. The number of
            images may differ between processes; one without images need not
            know their size.
        then: Function from the predictions to a tensor of shape `(part, ...)`.

    Returns:
        NumPy array: the result of `then` for the images of this process.
    """
    count = len(images)
    if not predict_together():
        outputs = then(model.predict_on_batch(images))
        # On TensorFlow each replica has computed all images, and the outputs
        # are concatenated.
        return ops.convert_to_numpy(outputs)[:count]
    import jax
    from jax.experimental import multihost_utils

    images = ops.convert_to_numpy(images)
    num_images, *size = max(map(tuple, gather_alike(np.array(images.shape))))
    num_devices = jax.local_device_count()
    images = np.reshape(images, (count, *size))
    images = pad(images, -(-num_images // num_devices) * num_devices)
    outputs = then(_predict(model, join_parts(images)))
    layout = data_layout(outputs.ndim)
    part = multihost_utils.global_array_to_host_local_array(
        outputs, layout.mesh, layout.spec
    )
    return np.asarray(part)[:count]


def _predict(model, batch):
    """Predicts on a batch of all devices, of which NumPy sees only a part.

    Keras itself would return NumPy arrays.
    """
    model.make_predict_function()
    parts = (model.trainable_variables, model.non_trainable_variables)
    state = tuple([variable.value for variable in part] for part in parts)
    outputs, state = model.predict_function(state, iter([(batch,)]))
    # The previous values were donated, and can no longer be used.
    for variables, values in zip(parts, state, strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    return outputs
