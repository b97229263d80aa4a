"""AIM as a file describes it, on its own trunk and CAPI's."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.rotary_trunk import make_trunk
from benchmarks.replay.rotary_trunk import trunk_pairs
from benchmarks.replay.weights import assign
from keras_capi.convert.aim_keys import encoder_entries
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def make_model(arrays, config):
    """Returns the model on the authors' trunk, with its initial weights."""
    num_channels = arrays["images"].shape[-1]
    encoder = keras_capi.encoders.AIMEncoder(
        config["patch_size"],
        config["depth"],
        config["width"],
        config["heads"],
        image_shape=(*config["image_size"], num_channels),
    )
    head = keras_capi.layers.PatchMLP.for_encoder(
        encoder, config["head_depth"], config["head_width"]
    )
    model = keras_capi.methods.AIM(encoder, head=head)
    assign(pairs_of(under(arrays, "weights/"), model))
    return model


def make_trunk_model(arrays, config):
    """Returns the model on CAPI's trunk, with the weights of `trunk/`."""
    num_channels = arrays["images"].shape[-1]
    encoder = make_trunk(config, (*config["image_size"], num_channels))
    head = keras_capi.layers.PatchMLP.for_encoder(encoder, num_layers=0)
    model = keras_capi.methods.AIM(encoder, head=head)
    assign(pairs_of_trunk(under(arrays, "trunk/weights/"), model))
    return model


def pairs_of_trunk(state, model):
    """Pairs weights on CAPI's trunk with their values in our layout."""
    yield from trunk_pairs(state, model.encoder)
    yield model.head.prediction.kernel, state["head.weight"].T
    yield model.head.prediction.bias, state["head.bias"]


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the name in the file to array.
        model: `keras_capi.methods.AIM` around an `AIMEncoder`.
    """
    head = model.head
    entries = {
        **encoder_entries(model.encoder),
        **linear_keys("head.embed", head.embedding),
        **linear_keys("head.norm", head.final_norm),
        **linear_keys("head.out", head.prediction),
    }
    for index, norm in enumerate(head.norms):
        entries |= {
            **linear_keys(f"head.norms.{index}", norm),
            **linear_keys(f"head.mlps.{index}.fc1", head.hidden[index]),
            **linear_keys(f"head.mlps.{index}.fc2", head.outputs[index]),
        }
    return pair_entries(entries, state)
