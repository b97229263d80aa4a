"""The trunk that the arrays of several methods have, CAPI's encoder."""

import keras_capi
from benchmarks.replay.files import under
from keras_capi.convert.capi_keys import paired_weights

# The frequencies of the rotary positions, which are not trained.
FREQUENCIES = "rope.freqs"


def make_trunk(config, image_shape):
    """Returns the encoder of a file, with other weights.

    Args:
        config: Dictionary, the configuration of the file.
        image_shape: Tuple of height, width and channels.
    """
    return keras_capi.encoders.CAPIBackbone(
        patch_size=config["patch_size"],
        num_layers=config["depth"],
        # It is not in the arrays, and takes no part.
        predictor_num_layers=1,
        hidden_dim=config["width"],
        num_heads=config["heads"],
        num_register_tokens=config["registers"],
        drop_path_rate=0.0,
        image_shape=image_shape,
    )


def trunk_pairs(state, encoder):
    """Pairs weights of the trunk with their values in our layout.

    Args:
        state: Dictionary from the name in the file to array.
        encoder: What `make_trunk` returns.
    """
    arrays = under(state, "backbone.")
    for keys, pair in paired_weights(arrays, encoder):
        if all(key in arrays for key in keys.split()):
            yield pair


def linear_pairs(state, name, layer):
    """Pairs kernel and bias of a layer with those of torch's of a name."""
    yield layer.kernel, state[f"{name}.weight"].T
    yield layer.bias, state[f"{name}.bias"]
