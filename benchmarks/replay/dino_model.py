"""DINO as a file describes it, and where its weights go."""

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import assign
from keras_capi.convert.dino_keys import network_entries
from keras_capi.convert.vit_keys import pair_entries

GAIN = "head.last_layer.weight_g"


def make_model(arrays, config, teacher_temperature):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
        teacher_temperature: Float or schedule.
    """
    size, total_steps = config["table_image_size"], total_steps_of(config)
    encoder = keras_capi.encoders.ViT(
        config["patch_size"],
        config["depth"],
        config["width"],
        config["heads"],
        image_shape=(size, size, arrays["global_views"].shape[2]),
        mlp_dim=int(config["width"] * config.get("mlp_ratio", 4)),
        interpolation_offset=0.1,
    )
    head = keras_capi.layers.DINOHead(
        config["out_dim"],
        config["head_layers"],
        config["head_hidden"],
        config["bottleneck"],
        trainable_gain=not config["norm_last_layer"],
    )
    model = keras_capi.methods.DINO(
        encoder,
        config["out_dim"],
        head=head,
        student_temperature=config["student_temp"],
        teacher_temperature=teacher_temperature,
        center_momentum=config["center_momentum"],
        ema_momentum=warmup_cosine(
            config["momentum_teacher"],
            total_steps,
            final_value=1.0,
        ),
    )
    for name in ("student", "teacher"):
        state = under(arrays, f"weights/{name}.")
        assign(pairs_of(model, name)(state))
    model.centering.center.assign(arrays["weights/center"][0])
    return model


def total_steps_of(config):
    """Returns the number of updates of the whole training."""
    return config["epochs"] * config["steps_per_epoch"]


def temperature_schedule(config):
    """Returns the teacher's temperature by the number of the update."""
    return keras_capi.optimizers.EpochWarmup(
        config["warmup_teacher_temp"],
        config["teacher_temp"],
        config["warmup_teacher_temp_epochs"],
        config["steps_per_epoch"],
    )


def parts_of(model, name):
    """Returns the encoder and the head of `"student"` or `"teacher"`."""
    if name == "student":
        return model.student, model.head
    return model.teacher, model.teacher_head


def pairs_of(model, name):
    """Returns the function that pairs a network's weights with arrays.

    Args:
        model: `keras_capi.methods.DINO`.
        name: String, `"student"` or `"teacher"`.

    Returns:
        Function from a dictionary, from the authors' name to array, to pairs of
        a weight and its value in our layout.
    """
    entries = network_entries(*parts_of(model, name))
    return lambda state: pair_entries(entries, state)
