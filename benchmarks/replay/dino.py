"""DINO on the arrays of its authors."""

import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.dino_model import GAIN
from benchmarks.replay.dino_model import make_model
from benchmarks.replay.dino_model import pairs_of
from benchmarks.replay.dino_model import parts_of
from benchmarks.replay.dino_model import temperature_schedule
from benchmarks.replay.dino_model import total_steps_of
from benchmarks.replay.files import loaded_weights
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import names_by_decay
from benchmarks.replay.groups import trained_names
from benchmarks.replay.noise import key_bias_noise
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.views import by_view
from benchmarks.replay.views import flat
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy

NETWORKS = ("student", "teacher")


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays))
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    gradients, center = _gradients(arrays, config)
    result.add("gradients", gradients)
    result.add("forward", center)
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.noise = key_bias_noise(final, 2 * arrays["schedule/lr"].sum())
    if config["norm_last_layer"]:
        result.fixed = {f"final/student.{GAIN}"}
    _take_tables_of_the_end(result, arrays, final)
    return result


def _inputs(arrays):
    uses = {
        "global_views": "views of the forward pass",
        "train/global_views": "views of the training steps",
    }
    if "local_views" in arrays:
        uses["local_views"] = "views of the forward pass"
        uses["train/local_views"] = "views of the training steps"
    return uses | loaded_weights(arrays, ("center",))


def _batch(arrays, prefix="", step=...):
    """Views with the batch first, in Keras's layout."""
    return {
        # From (view, batch, channel, row, column).
        name: arrays[prefix + name][step].transpose(1, 0, 3, 4, 2)
        for name in ("global_views", "local_views")
        if name in arrays and len(arrays[name])
    }


def _forward(arrays, config):
    schedule = temperature_schedule(config)
    step = config["epoch_of_the_step"] * config["steps_per_epoch"]
    model = make_model(arrays, config, float(schedule(step)))
    batch = _batch(arrays)
    layers = {"probabilities": model.centering}
    for name in NETWORKS:
        encoder, head = parts_of(model, name)
        layers |= {
            f"{name}/head": head,
            f"{name}/mlp": head.layers[-1],
            f"{name}/output": encoder.final_norm,
            **{f"{name}/block_{i}": b for i, b in enumerate(encoder.blocks)},
        }
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    batch_size = len(batch["global_views"])

    def recorded_views(name, place=0, call=-1):
        return by_view(flat(passed[name][call][place]), batch_size)

    results = {}
    for prefix, name, call, views in (
        ("student_global", "student", 0, "global_views"),
        ("student_local", "student", 1, "local_views"),
        ("teacher_global", "teacher", 0, "global_views"),
    ):
        if views in batch:
            encoder = parts_of(model, name)[0]
            results |= named(
                f"{prefix}/",
                {
                    "position_table": _position_table(encoder, batch[views]),
                    **_tokens(passed, name, call, encoder, batch_size),
                },
            )
    mlps = {name: recorded_views(f"{name}/mlp", 1) for name in NETWORKS}
    results |= named("", {f"{name}_head/mlp": mlps[name] for name in NETWORKS})
    results["student_head/normalized"] = to_numpy(
        keras_capi.ops.l2_normalize(mlps["student"], epsilon=1e-12)
    )
    results |= {f"{n}_logits": recorded_views(f"{n}/head", 1) for n in NETWORKS}
    results["teacher_probabilities"] = recorded_views("probabilities", 1)
    targets = to_numpy(passed["probabilities"][0][1])
    logits = to_numpy(passed["student/head"][0][1])
    pairs = [
        (i, j)
        for i in range(targets.shape[1])
        for j in range(logits.shape[1])
        if i != j
    ]
    parts = [
        keras_capi.ops.soft_cross_entropy(
            targets[:, i], logits[:, j], config["student_temp"]
        )
        for i, j in pairs
    ]
    return results, {
        "loss_pairs": np.array(pairs),
        "loss_parts": np.array([to_numpy(part) for part in parts]),
        "loss": to_numpy(losses["dino_loss"]),
    }


def _position_table(encoder, views):
    grid = encoder.grid_size(views.shape[2:])
    return to_numpy(encoder.positions.table(grid_size=grid))


def _tokens(passed, name, call, encoder, batch_size):
    """What passes through an encoder in one of its calls."""
    results = {
        f"block_{index}": passed[f"{name}/block_{index}"][call][1]
        for index in range(len(encoder.blocks))
    }
    results["tokens"] = passed[f"{name}/block_0"][call][0]
    results["output"] = passed[f"{name}/output"][call][1]
    results = {k: by_view(v, batch_size) for k, v in results.items()}
    return {**results, "class_token": results["output"][:, 0]}


def _gradients(arrays, config):
    schedule = temperature_schedule(config)
    step = config["epoch_of_the_step"] * config["steps_per_epoch"]
    model = make_model(arrays, config, float(schedule(step)))
    of_student = _of_student(model, arrays)
    gradients, _ = take_gradient_step(model, _batch(arrays), *of_student)
    names = trained_names(model, *of_student)
    gradients = {name: gradients[name] for name in names}
    norms = [np.linalg.norm(gradient) for gradient in gradients.values()]
    return {
        **named("grad/student.", gradients),
        "grad_norms": np.array(norms),
        "grad_norm_names": names,
    }, {"center_after": to_numpy(model.centering.center)[None]}


def _compile(model, arrays, config):
    total_steps = total_steps_of(config)
    model.compile(
        model.published_optimizer(
            total_steps,
            arrays["global_views"].shape[1],
            learning_rate=warmup_cosine(
                config["lr"],
                total_steps,
                config["warmup_epochs"] * config["steps_per_epoch"],
                final_value=config["min_lr"],
            ),
            frozen_steps=(
                config["freeze_last_layer"] * config["steps_per_epoch"]
            ),
            weight_decay=warmup_cosine(
                config["weight_decay"],
                total_steps,
                final_value=config["weight_decay_end"],
            ),
            clip_norm=config["clip_grad"] or None,
        )
    )


def _training(arrays, config):
    model = make_model(arrays, config, temperature_schedule(config))
    _compile(model, arrays, config)
    optimizer = model.optimizer
    frozen_steps = optimizer.groups["last_layer"].frozen_steps
    losses, centers = [], []
    schedules = {
        name: []
        for name in (
            "lr",
            "weight_decay",
            "momentum",
            "teacher_temperature",
            "last_layer_frozen",
        )
    }
    for step in range(total_steps_of(config)):
        decay = float(optimizer.weight_decay(step))
        batch = _batch(arrays, "train/", step)
        logs = model.train_on_batch(batch, return_dict=True)
        losses.append(logs["loss"])
        centers.append(to_numpy(model.centering.center))
        for name, value in (
            ("lr", logs["learning_rate"]),
            ("weight_decay", decay),
            ("momentum", logs["ema_momentum"]),
            (
                "teacher_temperature",
                to_numpy(model.centering.current_temperature),
            ),
            ("last_layer_frozen", step < frozen_steps),
        ):
            schedules[name].append(value)
    final = {}
    for name in NETWORKS:
        shapes = shapes_of(under(arrays, f"weights/{name}."))
        weights = in_their_layout(pairs_of(model, name), shapes)
        final |= named(f"final/{name}.", weights)
    final["final/center"] = centers[-1][None]
    schedules = {
        f"schedule/{name}": np.array(v) for name, v in schedules.items()
    }
    (
        schedules["train/decayed_parameters"],
        schedules["train/undecayed_parameters"],
    ) = names_by_decay(model, *_of_student(model, arrays))
    return (
        {"train/losses": np.array(losses)},
        schedules,
        {**final, "train/centers": np.array(centers)},
    )


def _of_student(model, arrays):
    """Where the student's weights are, see `in_their_layout`."""
    shapes = shapes_of(under(arrays, "weights/student."))
    return pairs_of(model, "student"), shapes


def _take_tables_of_the_end(result, arrays, final):
    """Position tables that are stored as they are after the training.

    Where crops have the size that the table is for, the authors' code returns
    the parameter itself and no copy of it, and the stored array holds what the
    training has made of it.
    """
    forward = result.results["forward"]
    for name in [n for n in forward if n.endswith("/position_table")]:
        network = name.partition("_")[0]
        trained = final[f"final/{network}.backbone.pos_embed"]
        initial, stored = forward[name], arrays.get(name)
        if stored is None or not stored.shape == trained.shape == initial.shape:
            continue
        if np.abs(stored - trained).max() < np.abs(stored - initial).max():
            result.add("final", {name: trained})
            del forward[name]
