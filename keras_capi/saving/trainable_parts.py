"""Which parts of a model train, to be kept with it."""

import re

from keras_capi.layers.blocks.rotary_attention import RotaryAttention


def trainable_parts(model):
    """Says which parts train differently from what holds them.

    Args:
        model: A `keras.Model`, built.

    Returns:
        Dictionary from the path of a layer or weight inside the model to
        whether it trains. Where it is missing, it does as what holds it;
        rotary frequencies do not train. Paths are the same for equal models,
        which Keras may name differently.
    """
    parts = {}
    for path, holder, layer in _walk(model):
        if holder is not None and layer.trainable != holder.trainable:
            parts[path] = layer.trainable
        for name, variable in _weights(path, layer).items():
            if variable.trainable != _trains_by_default(layer):
                parts[name] = variable.trainable
    return parts


def set_trainable_parts(model, parts):
    """Makes those parts train that `trainable_parts` says.

    Args:
        model: A `keras.Model`, built. Whether it trains as a whole is left.
        parts: Dictionary.
    """
    for path, holder, layer in _walk(model):
        if holder is not None:
            layer.trainable = parts.get(path, holder.trainable)
        for name, variable in _weights(path, layer).items():
            trains = parts.get(name, _trains_by_default(layer))
            if isinstance(layer, RotaryAttention):
                layer.trains_frequencies = trains
            else:
                variable.trainable = trains


def _trains_by_default(layer):
    return layer.trainable and not isinstance(layer, RotaryAttention)


def _walk(layer, path="", holder=None):
    """Yields the path, the holder and each layer, holders first."""
    yield path, holder, layer
    taken = set()
    for part in layer._flatten_layers(recursive=False, include_self=False):
        name = _lasting_name(part)
        if name in taken:
            # Of several that Keras has named, each has a number.
            name = f"{name}_{len(taken)}"
        taken.add(name)
        yield from _walk(part, f"{path}/{name}".strip("/"), layer)


def _lasting_name(layer):
    """Returns a layer's name without the number that Keras counts up."""
    stem = re.sub(r"_\d+$", "", layer.name)
    is_automatic = stem.replace("_", "") == type(layer).__name__.lower()
    return stem if is_automatic else layer.name


def _weights(path, layer):
    # Not those that never train, such as what is quantised.
    return {
        f"{path}/{variable.name}".strip("/"): variable
        for variable in layer._trainable_variables
    }
