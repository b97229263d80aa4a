"""SimMIM as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.beit_encoder import freeze_biases
from benchmarks.replay.beit_encoder import make_encoder
from benchmarks.replay.beit_encoder import pair_with_biases
from benchmarks.replay.beit_encoder import without_indices
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.simmim_keys import simmim_entries


def make_model(arrays, config):
    """Returns the model of a file with its initial weights."""
    cell_size = config["mask_patch_size"] // config["model"]["patch_size"]
    model = keras_capi.methods.SimMIM(
        make_encoder(config["model"]),
        make_masking(config["mask_ratio"], cell_size),
    )
    if not config["model"]["qkv_bias"]:
        freeze_biases(model.encoder)
    assign(pairs_of(without_indices(under(arrays, "weights/")), model))
    return model


def make_masking(mask_ratio, cell_size):
    """Returns the sampler."""
    return keras_capi.layers.CellMasking(
        mask_ratio=mask_ratio, cell_size=cell_size, seed=0
    )


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the authors' name to array, without indices.
        model: `keras_capi.methods.SimMIM`.
    """
    return pair_with_biases(simmim_entries(model, state), state)
