"""BEiT as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.beit_encoder import freeze_biases
from benchmarks.replay.beit_encoder import pair_with_biases
from benchmarks.replay.beit_encoder import without_indices
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.beit_keys import beit_entries

RELATIVE = {
    "use_shared_rel_pos_bias": "shared",
    "use_rel_pos_bias": "per_block",
}


def make_model(arrays, config):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    model = keras_capi.methods.BEiT(
        _make_encoder(config["model"], arrays["images"].shape[1]),
        _Words(
            config["model"]["patch_size"],
            config["model"]["vocab_size"],
            arrays["images"].shape[1],
            trainable=False,
        ),
    )
    if not config["model"].get("qkv_bias", True):
        freeze_biases(model.encoder)
    assign(pairs_of(without_indices(under(arrays, "weights/")), model))
    return model


class _Words(keras_capi.tokenizers.Tokenizer):
    """Stands for the tokenizer: a file has the words, so that none are made."""


def make_masking(sample):
    """Returns the sampler that made a file's masks."""
    num_patches = sample["rows"] * sample["columns"]
    return keras_capi.layers.BlockwiseMasking(
        mask_ratio=sample["num_masking_patches"] / num_patches,
        min_area=sample["min_num_patches"],
        max_area=sample["max_num_patches"],
        min_aspect_ratio=sample.get("min_aspect", 0.3),
        max_aspect_ratio=sample.get("max_aspect"),
        seed=0,
    )


def _make_encoder(model, num_channels):
    kinds = [kind for name, kind in RELATIVE.items() if model.get(name)]
    if len(kinds) > 1:
        raise ValueError("tables that are shared and of blocks are not known")
    size = model["img_size"]
    height, width = size if isinstance(size, list) else (size, size)
    return keras_capi.encoders.ViT(
        model["patch_size"],
        model["depth"],
        model["embed_dim"],
        model["num_heads"],
        image_shape=(height, width, num_channels),
        mlp_dim=int(model["embed_dim"] * model["mlp_ratio"]),
        positions="learned" if model.get("use_abs_pos_emb") else None,
        relative_positions=kinds[0] if kinds else None,
        use_key_bias=False,
        layer_scale=model["init_values"] or None,
    )


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the authors' name to array, without indices.
        model: `keras_capi.methods.BEiT`.
    """
    return pair_with_biases(beit_entries(model), state)
