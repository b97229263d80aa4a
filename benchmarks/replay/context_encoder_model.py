"""The context encoder as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.capi_keys import paired_weights

# What the arrays' images were normalised by.
NORMALIZATION = 0.5
ENCODER = "netG.backbone."
HEAD = "netG.head."
DISCRIMINATOR = "netD."


def make_model(arrays, config, discriminator_rate=0.0):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array, the file.
        config: Dictionary, the configuration of the file.
        discriminator_rate: Float. Its learning rate.
    """
    num_channels = arrays["images"].shape[-1]
    state = under(arrays, "weights/")
    kernels = _kernels(state)
    weight = config["wtl2"]
    model = keras_capi.methods.ContextEncoder(
        make_encoder(config, num_channels),
        make_corruption(config, num_channels),
        keras_capi.layers.Discriminator(
            [kernel.shape[0] for kernel in kernels[:-1]],
            learning_rate=discriminator_rate,
            beta_1=config["beta1"],
        ),
        # With 1 there would be no discriminator.
        pixel_weight=min(weight, 0.5),
        overlap_weight=_overlap_weight(arrays, config),
    )
    model.loss_weights = {
        "pixel_loss": weight,
        "adversarial_loss": _adversarial_weight(arrays, weight),
    }
    assign(pairs_of(state, model))
    return model


def make_encoder(config, num_channels):
    """Returns the encoder that a configuration describes."""
    return keras_capi.encoders.CAPIBackbone(
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


def make_corruption(config, num_channels):
    """Returns what cuts out regions, for images that are normalised alike."""
    normalization = (NORMALIZATION,) * num_channels
    if config["mode"] == "random":
        return keras_capi.layers.RandomRegions(
            mean=normalization, std=normalization, seed=0
        )
    return keras_capi.layers.CenterRegion(
        config["overlap"], mean=normalization, std=normalization
    )


def _adversarial_weight(arrays, pixel_weight):
    if pixel_weight < 1:
        return 1.0 - pixel_weight
    # The authors' code adds all of the adversarial loss then, their words leave
    # nothing of it; the array tells.
    adversarial, pixels, total = (
        float(arrays[f"loss/{name}"])
        for name in ("adversarial", "l2_weighted", "generator")
    )
    return min(
        (1.0, 1.0 - pixel_weight),
        key=lambda x: abs(x * adversarial + pixel_weight * pixels - total),
    )


def _overlap_weight(arrays, config):
    if config["mode"] == "random":
        # Whether it counts there is an option of its own; the array tells.
        return float(arrays["l2_weight"].max())
    return config["overlap_weight"]


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the name in the file to array.
        model: `keras_capi.methods.ContextEncoder`.
    """
    encoder = under(state, ENCODER)
    for keys, pair in paired_weights(encoder, model.encoder):
        if all(key in encoder for key in keys.split()):
            yield pair
    yield model.head.kernel, state[HEAD + "weight"].T
    yield model.head.bias, state[HEAD + "bias"]
    yield from discriminator_pairs(state, model.discriminator)


def discriminator_pairs(state, discriminator):
    """Likewise, of a discriminator alone."""
    for kernel, theirs in zip(
        discriminator.kernels, _kernels(state), strict=True
    ):
        yield kernel, theirs.transpose(2, 3, 1, 0)
    for name, variables in (
        ("weight", discriminator.scales),
        ("bias", discriminator.shifts),
    ):
        for i, variable in enumerate(variables):
            yield variable, state[f"{DISCRIMINATOR}norms.{i}.{name}"]


def _kernels(state):
    name = DISCRIMINATOR + "convs.{}.weight"
    count = sum(key.startswith(DISCRIMINATOR + "convs.") for key in state)
    return [state[name.format(i)] for i in range(count)]
