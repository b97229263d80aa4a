"""DINOv2 as a file describes it, and where its weights go."""

import numpy as np

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.groups import trained_names
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import assign
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.convert.dinov2_keys import network_entries
from keras_capi.convert.vit_keys import pair_entries

# Ours by the authors' names.
CENTERINGS = {"sinkhorn_knopp": "sinkhorn", "centering": "softmax"}
SHARING = ("tied", "untied")


def own_combination(config):
    """Returns the centering and sharing that are trained."""
    return config["centering"], SHARING[bool(config["separate_head"])]


def combinations(arrays):
    """Returns the combinations of centering and sharing that are there."""
    return [
        (centering, sharing)
        for centering in CENTERINGS
        for sharing in SHARING
        if f"{centering}/{sharing}/total_loss" in arrays
    ]


def make_model(arrays, config, combination, temperature):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
        combination: Tuple of centering and sharing, as the authors name them.
        temperature: Float or schedule.
    """
    centering, sharing = combination
    size = config["table_image_size"]
    block = under(arrays, "weights/student.backbone.blocks.0.")
    gated = "mlp.w3.weight" in block
    encoder = keras_capi.encoders.ViT(
        config["patch_size"],
        config["depth"],
        config["width"],
        config["heads"],
        image_shape=(size, size, arrays["collated_global_crops"].shape[1]),
        mlp_dim=block[f"mlp.{'w3' if gated else 'fc2'}.weight"].shape[1],
        activation="swiglu" if gated else "gelu",
        num_register_tokens=config["registers"],
        interpolation_offset=0.1,
        layer_scale=config["layerscale"] if "ls1.gamma" in block else None,
    )
    untied = sharing == "untied"
    model = keras_capi.methods.DINOv2(
        encoder,
        config["dino_prototypes"],
        config["ibot_prototypes"] if untied else None,
        CENTERINGS[centering],
        head=keras_capi.layers.DINOHead(
            config["dino_prototypes"],
            config["head_layers"],
            config["head_hidden"],
            config["bottleneck"],
            trainable_gain=True,
        ),
        teacher_temperature=temperature,
        class_weight=config["dino_weight"],
        patch_weight=config["ibot_weight"],
        koleo_weight=config["koleo_weight"],
        ema_momentum=warmup_cosine(
            config["momentum_teacher"],
            total_steps_of(config),
            final_value=1.0,
        ),
    )
    for part in ("student", "teacher"):
        state = under(arrays, f"weights/{part}.")
        assign(pairs_of(model, part)(state))
    if centering == "centering":
        for name, layer in centers_of(model).items():
            center = arrays[f"weights/{name}"].reshape(-1)
            center = np.resize(center, layer.center.shape)
            layer.center.assign(center)
    return model


def centers_of(model):
    """Returns what has a center, by its name."""
    return {
        "dino_center": model.centering,
        "ibot_center": model.patch_centering,
    }


def total_steps_of(config):
    """Returns the number of updates of the whole training."""
    return config["epochs"] * config["steps_per_epoch"]


def temperature_schedule(config):
    """Returns the teacher's temperature by the number of the update."""
    warmup = config["warmup_teacher_temp_epochs"] * config["steps_per_epoch"]
    return keras_capi.optimizers.EpochWarmup(
        config["warmup_teacher_temp"], config["teacher_temp"], warmup, 1
    )


def pairs_of(model, name):
    """Returns the function that pairs a network's weights with arrays.

    A head of patches that the model does not have is left out.

    Args:
        model: `keras_capi.methods.DINOv2`.
        name: String, `"student"` or `"teacher"`.

    Returns:
        Function from a dictionary, from the authors' name to array, to pairs of
        a weight and its value in our layout.
    """
    entries = network_entries(model, name)
    own = model.patch_head is None

    def pair(state):
        if own:
            state = {
                k: v for k, v in state.items() if not k.startswith("ibot_head.")
            }
        return pair_entries(entries, state)

    return pair


def centers_as_theirs(model, prefix, suffix=""):
    results = {}
    for name, layer in centers_of(model).items():
        shape = (1, -1) if name == "dino_center" else (1, 1, -1)
        center = to_numpy(layer.center).reshape(shape)
        results[f"{prefix}{name}{suffix}"] = center
    return results


def places_of(model, arrays, name):
    """Where a network's weights are, see `in_their_layout`."""
    state = under(arrays, f"weights/{name}.")
    if model.patch_head is None:
        state = {k: v for k, v in state.items() if "ibot_head." not in k}
    return pairs_of(model, name), shapes_of(state)


def names_of_trained(model, arrays):
    return list(trained_names(model, *places_of(model, arrays, "student")))
