"""MAE as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.mae_keys import TABLES
from keras_capi.convert.mae_keys import mae_entries
from keras_capi.convert.vit_keys import pair_entries


def make_encoder(config):
    """Returns an encoder as the configuration describes it."""
    model = config["model"]
    size = model["img_size"]
    return keras_capi.encoders.ViT(
        model["patch_size"],
        model["depth"],
        model["embed_dim"],
        model["num_heads"],
        image_shape=(size, size, model["in_chans"]),
        mlp_dim=int(model["embed_dim"] * model["mlp_ratio"]),
        positions="sine",
    )


def make_model(arrays, config, normalize_pixels):
    """Returns the model of a file with its initial weights."""
    encoder, model = make_encoder(config), config["model"]
    decoder = keras_capi.decoders.MaskTokenDecoder(
        encoder.hidden_dim,
        encoder.patch_size**2 * model["in_chans"],
        encoder.grid_size(encoder.image_shape),
        num_layers=model["decoder_depth"],
        hidden_dim=model["decoder_embed_dim"],
        num_heads=model["decoder_num_heads"],
        mlp_dim=int(model["decoder_embed_dim"] * model["mlp_ratio"]),
    )
    method = keras_capi.methods.MAE(
        encoder,
        make_masking(config["mask_ratio"]),
        decoder,
        normalize_pixels=normalize_pixels,
    )
    assign(pairs_of(without_tables(under(arrays, "weights/")), method))
    return method


def make_masking(mask_ratio):
    """Returns the sampler, with the authors' count of visible patches."""
    return keras_capi.layers.RandomMasking(
        mask_ratio=mask_ratio,
        prediction_ratio=1.0,
        seed=0,
        round_visible=True,
    )


def without_tables(state):
    """Leaves out the positions, which are computed and not loaded."""
    return {name: v for name, v in state.items() if name not in TABLES}


def pairs_of(state, method):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the authors' name to array, without the tables.
        method: `keras_capi.methods.MAE`.
    """
    return pair_entries(mae_entries(method), state, optional=TABLES)
