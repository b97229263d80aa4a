"""Relative positions as a file describes them, and where weights go."""

import keras_capi
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import under
from benchmarks.replay.rotary_trunk import linear_pairs
from benchmarks.replay.rotary_trunk import make_trunk
from benchmarks.replay.rotary_trunk import trunk_pairs
from benchmarks.replay.weights import assign

# What the author's networks were given, in deviations.
FORCE = 50.0
LAYERS = {
    "head.fc6": "patch_layer",
    "head.fc7": "pair_layer",
    "head.fc8": "hidden_layer",
    "head.fc9": "score_layer",
}


def make_model(arrays, config):
    """Returns the model of a file with its initial weights."""
    num_channels = arrays["input"].shape[1]
    encoder = make_trunk(config, (*config["crop"], num_channels))
    model = keras_capi.methods.RelativePosition(
        encoder,
        head=keras_capi.layers.PairHead(config["fc"], config["batchnorm"]),
    )
    assign(pairs_of(under(arrays, "weights/"), model))
    return model


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the name in the file to array.
        model: `keras_capi.methods.RelativePosition`.
    """
    yield from trunk_pairs(state, model.encoder)
    for name, attribute in LAYERS.items():
        layer = getattr(model.head, attribute)
        for weight, values in linear_pairs(state, name, layer):
            if weight is not None:
                yield weight, values


def unused_biases(weights, model):
    """Returns the names of biases that the batch's mean takes away again."""
    return [
        f"{name}.bias"
        for name, attribute in LAYERS.items()
        if f"{name}.bias" in weights
        and getattr(model.head, attribute).bias is None
    ]


def decay_unused(values, settings, steps):
    """Returns weights without gradient after so many steps of torch's SGD."""
    velocity = 0.0
    for _ in range(steps):
        velocity = settings["momentum"] * velocity
        velocity = velocity + settings["weight_decay"] * values
        values = values - settings["lr"] * velocity
    return values


def as_image(arrays):
    """Returns all patches and pairs of a step, as if they were of one image."""
    return {
        "patches": channels_last(arrays["input"])[None] / FORCE,
        "pairs": arrays["pairs"][None],
        "labels": arrays["labels"][None],
    }
