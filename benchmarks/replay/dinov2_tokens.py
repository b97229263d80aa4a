"""Gradients at the output of a trunk, on any backend."""

import contextlib

import keras
import numpy as np


class Shifts(keras.layers.Layer):
    """Zeros that are added to tokens, and trained: they move by the gradient.

    Args:
        shapes: Dictionary from name to shape.
    """

    def __init__(self, shapes):
        super().__init__()
        self.values = {
            name: self.add_weight(name=name, shape=shape, initializer="zeros")
            for name, shape in shapes.items()
        }
        self.built = True


@contextlib.contextmanager
def shifted_tokens(model, batch):
    """Adds zeros to the student's tokens, behind its last norm.

    Args:
        model: `keras_capi.methods.DINOv2`, not compiled.
        batch: Dictionary of views.

    Yields:
        Dictionary from `"global"` and maybe `"local"` to variables, as many as
        there are tokens of all views.
    """
    encoder = model.student
    shapes = {}
    for name in ("global", "local"):
        if f"{name}_views" in batch:
            shape = batch[f"{name}_views"].shape
            patches = np.prod(encoder.grid_size(shape[2:]))
            count = int(patches) + encoder.num_prefix_tokens
            shapes[name] = (shape[0] * shape[1], count, encoder.hidden_dim)
    model.shifts = Shifts(shapes)
    norm, calls = encoder.final_norm, []
    call = norm.call

    def shifted(tokens):
        # Each step encodes the global views first.
        names = list(shapes)
        name = names[len(calls) % len(names)]
        calls.append(name)
        return call(tokens) + model.shifts.values[name]

    # Past Keras, which would take it for a part of the layer.
    object.__setattr__(norm, "call", shifted)
    try:
        yield model.shifts.values
    finally:
        object.__delattr__(norm, "call")
