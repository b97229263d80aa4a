"""The autoencoder as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.capi_keys import paired_weights

# What the arrays' images were normalised by.
NORMALIZATION = 0.5
# Which of the arrays' draws decide a corruption.
DRAWS = {
    "gaussian": "normal",
    "masking": "uniform",
    "masking_exact": "uniform",
    "masking_patches": "patch_uniform",
    "salt_and_pepper": "uniform",
}


def make_model(arrays, config, kind=None, plain=False):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array, the file.
        config: Dictionary, the configuration of the file.
        kind: String, the corruption; `None` is the file's main one.
        plain: Boolean. Whether all errors count alike.
    """
    num_channels = arrays["images"].shape[-1]
    encoder = keras_capi.encoders.CAPIBackbone(
        patch_size=config["patch_size"],
        num_layers=config["depth"],
        # It is not in the arrays, and takes no part.
        predictor_num_layers=1,
        hidden_dim=config["width"],
        num_heads=config["heads"],
        num_register_tokens=config["registers"],
        drop_path_rate=0.0,
        image_shape=(*config["image_size"], num_channels),
    )
    kind = kind or config["main"]
    model = keras_capi.methods.DenoisingAutoencoder(
        encoder,
        make_corruption(kind, config["levels"][kind], num_channels),
        corrupted_weight=1.0 if plain else config["alpha"],
        intact_weight=1.0 if plain else config["beta"],
    )
    assign(pairs_of(under(arrays, "weights/"), model))
    return model


def make_corruption(
    kind, level, num_channels, mean=NORMALIZATION, std=NORMALIZATION
):
    """Returns the layer for images that are all normalised alike."""
    return keras_capi.layers.Corruption(
        kind, level, mean=(mean,) * num_channels, std=(std,) * num_channels
    )


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the name in the file to array.
        model: `keras_capi.methods.DenoisingAutoencoder`.
    """
    encoder = under(state, "backbone.")
    for keys, pair in paired_weights(encoder, model.encoder):
        if all(key in encoder for key in keys.split()):
            yield pair
    yield model.head.kernel, state["head.weight"].T
    yield model.head.bias, state["head.bias"]
