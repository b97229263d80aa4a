"""A training of DINOv2 on the arrays of its authors."""

import numpy as np

from benchmarks.replay.dinov2_model import centers_as_theirs
from benchmarks.replay.dinov2_model import make_model
from benchmarks.replay.dinov2_model import names_of_trained
from benchmarks.replay.dinov2_model import own_combination
from benchmarks.replay.dinov2_model import places_of
from benchmarks.replay.dinov2_model import temperature_schedule
from benchmarks.replay.dinov2_model import total_steps_of
from benchmarks.replay.dinov2_step import NETWORKS
from benchmarks.replay.dinov2_step import batch_of
from benchmarks.replay.dinov2_step import logged_losses
from benchmarks.replay.dinov2_step import run_recorded
from benchmarks.replay.files import named
from benchmarks.replay.groups import multipliers
from benchmarks.replay.groups import names_of
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import to_numpy


def compile_as_published(model, config):
    total_steps, per_epoch = total_steps_of(config), config["steps_per_epoch"]
    model.compile(
        model.published_optimizer(
            total_steps,
            config["batch"],
            learning_rate=warmup_cosine(
                config["lr"],
                total_steps,
                config["warmup_epochs"] * per_epoch,
                final_value=config["min_lr"],
            ),
            weight_decay=warmup_cosine(
                config["weight_decay"],
                total_steps,
                final_value=config["weight_decay_end"],
            ),
            frozen_steps=config["freeze_last_layer_epochs"] * per_epoch,
            clip_norm=config["clip_grad"] or None,
            layer_decay=config["layerwise_decay"],
            patch_embedding_multiplier=config["patch_embed_lr_mult"],
        )
    )


def replay_schedules(arrays, config):
    """What the optimizer and the teacher do in each step, with what.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    model = make_model(
        arrays, config, own_combination(config), temperature_schedule(config)
    )
    compile_as_published(model, config)
    optimizer = model.optimizer
    frozen_steps = optimizer.groups["last_layer"].frozen_steps
    schedules = {}
    for step in range(total_steps_of(config)):
        optimizer.iterations.assign(step)
        model.before_update(step)
        rate = optimizer.learning_rate
        for name, value in (
            ("lr", rate),
            ("weight_decay", optimizer.weight_decay(step)),
            ("momentum", model.moving_average.momentum(step)),
            ("teacher_temperature", model.centering.current_temperature),
            ("last_layer_lr", 0.0 if step < frozen_steps else rate),
        ):
            schedules.setdefault(name, []).append(float(to_numpy(value)))
    return {
        **{f"schedule/{k}": np.array(v) for k, v in schedules.items()},
        **_groups(model, arrays),
    }


def replay_training(arrays, config):
    """Trains the model of a file.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.

    Returns:
        Two dictionaries: of the losses, and of all weights in the end.
    """
    combination = own_combination(config)
    model = make_model(
        arrays, config, combination, temperature_schedule(config)
    )
    compile_as_published(model, config)
    names, losses = arrays["train/loss_names"].tolist(), []
    for step in range(total_steps_of(config)):
        batch = batch_of(arrays, config, f"train/step_{step}/")
        model.before_update(step)
        _, passed = run_recorded(model, batch)
        logs = model.train_on_batch(batch, return_dict=True)
        values = logged_losses(model, config, logs, passed)
        losses.append([values[name] for name in names])
    final = {}
    for name in NETWORKS:
        weights = in_their_layout(*places_of(model, arrays, name))
        final |= named(f"final/{name}.", weights)
    if combination[0] == "centering":
        final |= centers_as_theirs(model, "final/")
    # What the combination does not have, nothing moves.
    for name in set(arrays) - set(final):
        loaded = f"weights/{name.removeprefix('final/')}"
        if name.startswith("final/") and loaded in arrays:
            final[name] = arrays[loaded]
    return {
        "train/losses": np.array(losses),
        "train/loss_names": np.array(names),
    }, final


def _groups(model, arrays):
    """What the optimizer does with each parameter, in the authors' order."""
    of_student = places_of(model, arrays, "student")
    names = names_of_trained(model, arrays)
    theirs = arrays["train/parameters"].tolist()
    if set(theirs) == set(names):
        names = theirs
    rates, decays = (
        multipliers(model, f"{kind}_multiplier", *of_student)
        for kind in ("learning_rate", "weight_decay")
    )
    last_layer = {id(v) for v in model.parameter_groups()["last_layer"]}
    last_layer = set(names_of(last_layer, *of_student))
    return {
        "train/parameters": np.array(names),
        "train/lr_multiplier": np.array([rates[name] for name in names]),
        "train/wd_multiplier": np.array([decays[name] for name in names]),
        "train/is_last_layer": np.array([name in last_layer for name in names]),
    }
