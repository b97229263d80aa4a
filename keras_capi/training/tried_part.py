"""Trials of the user's layers, before any training."""

import keras
from keras import ops

from keras_capi.validation import is_array


def try_part(name, part, tensors, grid_size, **kwargs):
    """Calls a layer on tensors, on symbolic ones if it can.

    This builds the layer if it was not built before.

    Args:
        name: String. The argument's name, for the error.
        part: The user's layer.
        tensors: List of `keras.KerasTensor`.
        grid_size: Tuple of two integers: rows and columns of patches.
        **kwargs: Further arguments of the layer.

    Raises:
        ValueError: If it is not a layer, or cannot be called like this.
    """
    if not isinstance(part, keras.Layer):
        raise ValueError(
            f"`{name}` must be a layer, or None. Received: {part!r}"
        )
    kwargs = {"grid_size": grid_size, **kwargs}
    try:
        return _call(part, tensors, kwargs)
    # A user's layer may raise anything.
    except Exception as error:
        arguments = [describe(x) for x in tensors]
        arguments += [f"{name}={value}" for name, value in kwargs.items()]
        raise ValueError(
            f"`{name}` must be a layer that can be called on these arguments: "
            f"{', '.join(arguments)}. Received: {type(part).__name__}, which "
            "raises the error above"
        ) from error


class _Call(keras.Operation):
    """A call of a layer with arguments that are not tensors.

    Keras would also trace numbers, which then could not serve as shapes.
    """

    def __init__(self, part, kwargs):
        super().__init__()
        self.part = part
        self.kwargs = kwargs

    def call(self, *tensors):
        return self.part(*tensors, **self.kwargs)


def _call(part, tensors, kwargs):
    if _has_weights_to_make(part):
        return part(*_zeros(tensors), **kwargs)
    return call_on(part, tensors, **kwargs)


def call_on(function, tensors, **kwargs):
    """Calls a function on symbolic tensors, or on zeros if it cannot do that.

    Args:
        function: Callable. It must not make weights.
        tensors: List of `keras.KerasTensor`.
        **kwargs: Further arguments of the function.

    Returns:
        What the function returns, in symbolic tensors or tensors.
    """
    try:
        return _Call(function, kwargs)(*tensors)
    except Exception as error:
        # It may look at values, which training with `run_eagerly` allows.
        try:
            with keras.StatelessScope():
                return function(*_zeros(tensors), **kwargs)
        except Exception:
            raise error from None


def _has_weights_to_make(part):
    layers = list(part._flatten_layers(include_self=False))
    if type(part).build is not keras.Layer.build:
        layers.append(part)
    return not all(layer.built for layer in layers)


def _zeros(tensors):
    return [ops.zeros(x.shape, x.dtype) for x in tensors]


def try_decoder(name, decoder, tensors, grid_size, axes, shape, **kwargs):
    """Tries a layer that predicts something for patches.

    Args:
        name: As in `try_part`, like `tensors`, `grid_size` and `kwargs`.
        decoder: The user's layer, or `None`, which is not tried.
        axes: String. The axes of the tensor it must return.
        shape: Tuple of integers. The lengths of these axes.

    Raises:
        ValueError: If it is not a layer, fails, or returns something else.
    """
    if decoder is None:
        return
    outputs = try_part(name, decoder, tensors, grid_size, **kwargs)
    if not is_array(outputs) or tuple(outputs.shape) != shape:
        raise ValueError(
            f"`{name}` must return a tensor of shape {axes}, here {shape}. "
            f"Received: {type(decoder).__name__}, which returns "
            f"{describe(outputs)}"
        )


def describe(x):
    """Returns a string that describes what something is."""
    if isinstance(x, dict):
        return str({name: describe(x[name]) for name in sorted(x, key=str)})
    if is_array(x):
        dtype = keras.backend.standardize_dtype(x.dtype)
        return f"{dtype} of shape {tuple(x.shape)}"
    return type(x).__name__
