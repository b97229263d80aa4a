"""The encoder of BEiT, which SimMIM and data2vec have too."""

import keras
import numpy as np

import keras_capi
from benchmarks.replay.weights import to_numpy
from keras_capi.convert.vit_keys import INDEX
from keras_capi.convert.vit_keys import pair_entries

NUM_CHANNELS = 3
BIASES = (".q_bias", ".v_bias")
RELATIVE = {"use_shared_rpb": "shared", "use_rpb": "per_block"}


def make_encoder(model):
    """Returns an encoder as a configuration describes it.

    Args:
        model: Dictionary, the configuration of the model.
    """
    size = model["img_size"]
    kinds = [kind for name, kind in RELATIVE.items() if model[name]]
    return keras_capi.encoders.ViT(
        model["patch_size"],
        model["depth"],
        model["embed_dim"],
        model["num_heads"],
        image_shape=(size, size, NUM_CHANNELS),
        mlp_dim=int(model["embed_dim"] * model["mlp_ratio"]),
        positions="learned" if model["use_ape"] else None,
        relative_positions=kinds[0] if kinds else None,
        use_key_bias=False,
        layer_scale=model["init_values"],
    )


def freeze_biases(encoder):
    """Makes an encoder one whose queries and values have no biases either.

    They stay zero, so that all else is computed as if they were not there.

    Args:
        encoder: `keras_capi.encoders.ViT` whose keys have none.
    """
    for block in encoder.blocks:
        block.attention.query_bias.trainable = False
        block.attention.value_bias.trainable = False


def pair_with_biases(entries, state):
    """Pairs weights with their values, without biases that no block has.

    Args:
        entries: Dictionary from names to pairs, see `pair_entries`.
        state: Dictionary from the authors' name to array, without indices.
    """
    biases = {name for name in entries if name.endswith(BIASES)}
    return pair_entries(entries, state, () if biases & set(state) else biases)


def without_indices(state):
    """Leaves out the indices of biases, which are computed and not loaded."""
    return {
        name: values
        for name, values in state.items()
        if name.rpartition(".")[2] != INDEX
    }


def position_index(encoder):
    """Returns which row of the table each pair of tokens has."""
    grid_size = encoder.grid_size(encoder.image_shape)
    index = keras_capi.ops.relative_position_index(
        keras_capi.ops.patch_cells(grid_size)[None],
        grid_size,
        encoder.num_prefix_tokens,
    )
    return to_numpy(index)[0].astype("int64")


def all_tokens(outputs):
    """Puts together what `encode` returns."""
    parts = [to_numpy(outputs[name]) for name in ("prefix", "patches")]
    return np.concatenate(parts, axis=1)


def mean_pooled(encoder, images, norm):
    """Returns the feature that the authors fine-tune.

    The mean of the patches before the final norm, through a norm of its own.

    Args:
        encoder: `keras_capi.encoders.ViT`.
        images: Array of shape `(batch, height, width, channels)`.
        norm: Dictionary with `"weight"` and `"bias"` of the norm.
    """
    raw = encoder.encode(*encoder.embed(images), normalize=False)
    layer = keras.layers.LayerNormalization(epsilon=1e-6)
    layer.build((None, encoder.hidden_dim))
    layer.gamma.assign(norm["weight"])
    layer.beta.assign(norm["bias"])
    return to_numpy(layer(np.mean(to_numpy(raw["patches"]), axis=1)))
