"""Colourisation as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.rotary_trunk import linear_pairs
from benchmarks.replay.rotary_trunk import make_trunk
from benchmarks.replay.rotary_trunk import trunk_pairs
from benchmarks.replay.weights import assign

# The images of the arrays are not normalised.
NORMALIZATION = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def make_model(arrays, config):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    num_channels = config["in_chans"]
    encoder = make_trunk(config, (*config["image_size"], num_channels))
    model = keras_capi.methods.Colorization(
        encoder,
        keras_capi.layers.ColorTargets(
            arrays["bins"],
            config["neighbours"],
            config["sigma"],
            arrays["prior"],
            config["gamma"],
            config["alpha"],
            config["gray_threshold"],
        ),
        keras_capi.layers.ColorRemoval(num_channels, **NORMALIZATION),
    )
    assign(pairs_of(under(arrays, "weights/"), model))
    return model


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the name in the file to array.
        model: `keras_capi.methods.Colorization`.
    """
    yield from trunk_pairs(state, model.encoder)
    yield from linear_pairs(state, "head", model.head)
