"""Tokenizers as a file describes them, and where their weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.dalle_keys import convolution_keys
from keras_capi.convert.dalle_keys import dalle_entries
from keras_capi.convert.vit_keys import pair_entries


def make_dalle(arrays, config):
    """Returns DALL-E's tokenizer with the weights of a file.

    And the decoder, or `None` if the file has no weights of it.
    """
    sizes = {
        "vocabulary_size": config["vocab_size"],
        "hidden_dim": config["n_hid"],
        "num_blocks": config["n_blk_per_group"],
    }
    encoder = keras_capi.tokenizers.DALLETokenizer(
        # The file's images are in [0, 1].
        **sizes,
        mean=(0.0,) * 3,
        standard_deviation=(1.0,) * 3,
    )
    decoder = keras_capi.tokenizers.DALLEDecoder(
        **sizes, initial_dim=config["n_init"]
    )
    made = []
    for part, model in (("encoder", encoder), ("decoder", decoder)):
        state = under(arrays, f"dalle/weights/{part}.")
        if state:
            assign(pair_entries(dalle_entries(model), state))
        made.append(model if state else None)
    return made


def make_vae(arrays, name, config, num_patches):
    """Returns a trainable tokenizer with the weights of a file.

    Args:
        arrays: Dictionary from name to array.
        name: What stands in front of its arrays.
        config: Its configuration.
        num_patches: Integer. Patches of all images together.
    """
    model = config["model"]
    side, channels = model["image_size"], model["channels"]
    vae = keras_capi.methods.DiscreteVAE(
        2 ** model["num_layers"],
        model["num_tokens"],
        model["hidden_dim"],
        model["codebook_dim"],
        image_shape=(side, side, channels),
        temperature=config["temperature"],
        straight_through=model["straight_through"],
        reconstruction="smooth_l1" if model["smooth_l1_loss"] else "squared",
        # The authors' is a sum over all patches.
        uniformity_weight=model["kl_div_loss_weight"] * num_patches,
    )
    assign(pairs_of(under(arrays, f"{name}/weights/"), vae))
    return vae


def pairs_of(state, vae):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the authors' name to array.
        vae: `keras_capi.methods.DiscreteVAE`.
    """
    entries = {"codebook.weight": (vae.codebook, lambda x: x)}
    for part, network in (("encoder", vae.encoder), ("decoder", vae.decoder)):
        for index, (convolution, residual) in enumerate(
            zip(network.convolutions, network.residuals, strict=True)
        ):
            entries |= _keys(f"{part}.{2 * index}.0", convolution)
            for place, layer in enumerate(residual.convolutions):
                name = f"{part}.{2 * index + 1}.net.{2 * place}"
                entries |= _keys(name, layer)
    last = 2 * vae.encoder.num_stages
    entries |= _keys(f"decoder.{last}", vae.decoder.head)
    entries |= {
        f"encoder.{last}.weight": (vae.head.kernel, lambda x: x[:, :, 0, 0].T),
        f"encoder.{last}.bias": (vae.head.bias, lambda x: x),
    }
    return pair_entries(entries, state)


def _keys(name, layer):
    return convolution_keys((f"{name}.weight", f"{name}.bias"), layer)
