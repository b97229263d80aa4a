"""iBOT as a file describes it, and where its weights go."""

from keras import ops

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import assign
from keras_capi.convert.ibot_keys import network_entries
from keras_capi.convert.ibot_keys import paired_model
from keras_capi.convert.vit_keys import pair_entries

GAINS = tuple(f"head.{name}.weight_g" for name in ("last_layer", "last_layer2"))


def make_model(arrays, config, step=None):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
        step: Integer, the update whose temperatures to take, or `None` for
            their schedules.
    """
    backbone, head = config["backbone"], config["head"]
    size, num_channels = config["grid_image"], arrays["images"].shape[2]
    encoder = keras_capi.encoders.ViT(
        config["patch"],
        backbone["depth"],
        backbone["embed_dim"],
        backbone["num_heads"],
        image_shape=(size, size, num_channels),
        mlp_dim=int(backbone["embed_dim"] * backbone["mlp_ratio"]),
        interpolation_offset=0.1,
    )
    temperatures = [make(config) for make in TEMPERATURES.values()]
    if step is not None:
        temperatures = [float(schedule(step)) for schedule in temperatures]
    if config["shared_head"] and not config["shared_head_teacher"]:
        raise ValueError("a teacher's own prototypes would follow nothing")
    model = keras_capi.methods.IBOT(
        encoder,
        config["out_dim"],
        None if config["shared_head"] else config["patch_out_dim"],
        config["shared_head_teacher"],
        head=keras_capi.layers.DINOHead(
            config["out_dim"],
            head["nlayers"],
            head["hidden_dim"],
            head["bottleneck_dim"],
            trainable_gain=not config["norm_last_layer"],
        ),
        teacher_temperature=temperatures[0],
        patch_temperature=temperatures[1],
        class_weight=config["lambda1"],
        patch_weight=config["lambda2"],
        ema_momentum=warmup_cosine(
            config["momentum_teacher"],
            total_steps_of(config),
            final_value=1.0,
        ),
    )
    state = under(arrays, "weights/")
    assign(paired_model(state, model))
    return model


def total_steps_of(config):
    """Returns the number of updates of the whole training."""
    return config["epochs"] * config["ipe"]


def step_of_the_batch(config):
    """Returns the update whose temperatures the single batch has."""
    return config["batch_epoch"] * config["ipe"]


def class_temperature(config):
    """Returns the teacher's temperature of images, by the update."""
    return keras_capi.optimizers.EpochWarmup(
        config["warmup_teacher_temp"],
        config["teacher_temp"],
        config["warmup_teacher_temp_epochs"],
        config["ipe"],
    )


def patch_temperature(config):
    """Returns that of patches, which waits until patches are predicted."""
    schedule = keras_capi.optimizers.EpochWarmup(
        config["warmup_teacher_patch_temp"],
        config["teacher_patch_temp"],
        config["warmup_teacher_temp_epochs"],
        config["ipe"],
    )
    start = config["pred_start_epoch"] * config["ipe"]
    first = config["warmup_teacher_patch_temp"]
    return lambda step: ops.where(
        step < start, first, schedule(ops.maximum(step - start, 0))
    )


TEMPERATURES = {"class": class_temperature, "patch": patch_temperature}


def pairs_of(model, name):
    """Returns the function that pairs a network's weights with arrays.

    Args:
        model: `keras_capi.methods.IBOT`.
        name: String, `"student"` or `"teacher"`.

    Returns:
        Function from a dictionary, from the authors' name to array, to pairs of
        a weight and its value in our layout.
    """
    entries = network_entries(model, name)
    return lambda state: pair_entries(entries, state)
