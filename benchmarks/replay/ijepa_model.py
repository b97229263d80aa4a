"""I-JEPA as a file describes it, and where its weights go."""

import keras

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.ijepa_keys import TABLES
from keras_capi.convert.ijepa_keys import ijepa_entries
from keras_capi.convert.vit_keys import pair_entries


def make_model(arrays, config):
    """Returns the model of a file with its initial weights."""
    of_encoder, of_predictor = config["encoder"], config["predictor"]
    rows, columns = (size for size in arrays["images"].shape[2:])
    encoder = keras_capi.encoders.ViT(
        config["patch"],
        of_encoder["depth"],
        of_encoder["embed_dim"],
        of_encoder["num_heads"],
        image_shape=(rows, columns, arrays["images"].shape[1]),
        mlp_dim=int(of_encoder["embed_dim"] * of_encoder["mlp_ratio"]),
        class_token=False,
        positions="sine",
    )
    width = of_predictor["predictor_embed_dim"]
    predictor = keras_capi.decoders.SelfAttentionPredictor.for_encoder(
        encoder,
        num_layers=of_predictor["depth"],
        hidden_dim=width,
        mlp_dim=int(width * of_predictor["mlp_ratio"]),
    )
    settings = config["optimization"]
    method = keras_capi.methods.IJEPA(
        encoder,
        make_masking(config["mask"]),
        predictor,
        ema_momentum=keras.optimizers.schedules.PolynomialDecay(
            settings["ema"][0],
            settings["ipe_scale"] * settings["epochs"] * settings["ipe"],
            settings["ema"][1],
        ),
    )
    assign(pairs_of(without_tables(under(arrays, "weights/")), method))
    return method


def make_masking(config):
    """Returns the sampler with the settings of a file."""
    return keras_capi.layers.MultiBlockMasking(
        num_blocks=config["npred"],
        block_scale=config["pred_mask_scale"],
        block_aspect_ratio=config["aspect_ratio"],
        num_contexts=config["nenc"],
        context_scale=config["enc_mask_scale"],
        min_visible=config["min_keep"],
        allow_overlap=config["allow_overlap"],
        seed=0,
    )


def without_tables(state):
    """Leaves out the positions, which are computed and not loaded."""
    return {name: v for name, v in state.items() if name not in TABLES}


def pairs_of(state, method):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the authors' name to array; the tables may be
            missing.
        method: `keras_capi.methods.IJEPA`.
    """
    return pair_entries(ijepa_entries(method), state, optional=TABLES)
