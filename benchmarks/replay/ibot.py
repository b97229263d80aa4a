"""iBOT on the arrays of its authors."""

import keras
import numpy as np

from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import loaded_weights
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import names_by_decay
from benchmarks.replay.groups import trained_names
from benchmarks.replay.ibot_masks import sampled_masks
from benchmarks.replay.ibot_model import GAINS
from benchmarks.replay.ibot_model import make_model
from benchmarks.replay.ibot_model import pairs_of
from benchmarks.replay.ibot_model import step_of_the_batch
from benchmarks.replay.ibot_model import total_steps_of
from benchmarks.replay.noise import key_bias_noise
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.views import by_view
from benchmarks.replay.weights import assign
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy

NETWORKS = ("student", "teacher")
LOSSES = ("class", "patch", "total")


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`.

    There may be masks among the arrays, and nothing else.
    """
    result = Replay()
    if "masks" in description:
        result.add("masks", sampled_masks(description["masks"]))
    else:
        result.notes["masks of the sampler"] = "no file of masks is there"
    if "backbone" not in description:
        return result
    config = description
    result.inputs = _inputs(arrays)
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    result.add("forward", _other_size(arrays, config))
    result.add("forward", _start_of_teacher(arrays, config))
    gradients, centers = _gradients(arrays, config)
    result.add("gradients", gradients)
    result.add("forward", centers)
    training = _training(arrays, config)
    for group, results in training.items():
        result.add(group, results)
    result.noise = key_bias_noise(
        training["final"], 2 * arrays["schedule/lr"].sum()
    )
    if config["norm_last_layer"]:
        result.fixed = {
            f"final/student.{gain}"
            for gain in GAINS
            if f"final/student.{gain}" in training["final"]
        }
    result.add_figures("schedules", _groups(arrays, config))
    if "left_out" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {}
    for prefix, of_what in (
        ("", "the forward pass"),
        ("train/", "the training steps"),
    ):
        for name in ("images", "masks", "local_images"):
            if prefix + name in arrays or name != "local_images":
                uses[prefix + name] = f"{name.replace('_', ' ')} of {of_what}"
    uses["images_other_size"] = "images of the read-out"
    return uses | loaded_weights(arrays, ("center", "center2"))


def _batch(arrays, prefix="", step=...):
    """Views and masks with the batch first, in our layout."""
    masks = arrays[f"{prefix}masks"][step].swapaxes(0, 1)
    batch = {"mask": masks.reshape(*masks.shape[:2], -1)}
    for name, theirs in (
        ("global_views", "images"),
        ("local_views", "local_images"),
    ):
        if prefix + theirs in arrays:
            views = channels_last(arrays[prefix + theirs][step])
            batch[name] = views.swapaxes(0, 1)
    return batch


def _of(model, name):
    """Returns encoder, head and the prototypes of patches."""
    if name == "student":
        return model.student, model.head, model.patch_prototypes
    return model.teacher, model.teacher_head, model.teacher_patch_prototypes


def _forward(arrays, config):
    model = make_model(arrays, config, step_of_the_batch(config))
    batch = _batch(arrays)
    layers = {
        "class_probabilities": model.centering,
        "patch_probabilities": model.patch_centering,
    }
    for name in NETWORKS:
        encoder = _of(model, name)[0]
        layers |= {
            f"{name}/backbone_output": encoder.final_norm,
            **{f"{name}/block_{i}": b for i, b in enumerate(encoder.blocks)},
        }
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    results = {}
    for name, views, call in (
        ("student", "global", 0),
        ("student", "local", 1),
        ("teacher", "global", 0),
    ):
        if f"{views}_views" in batch:
            outputs = {
                key.partition("/")[2]: calls[call][1]
                for key, calls in passed.items()
                if key.startswith(f"{name}/")
            }
            outputs["tokens"] = passed[f"{name}/block_0"][call][0]
            outputs |= _scores(model, name, outputs["backbone_output"])
            results |= named(f"{name}/{views}/", outputs)
    batch_size = len(batch["mask"])
    results = {k: by_view(v, batch_size) for k, v in results.items()}
    for name in ("class_probabilities", "patch_probabilities"):
        values = to_numpy(passed[name][0][1])
        values = values.reshape(-1, *values.shape[2:])
        results[f"teacher/{name}"] = by_view(values, batch_size)
    for name, centering in (
        ("class", model.centering),
        ("patch", model.patch_centering),
    ):
        temperature = centering.current_temperature
        results[f"temperature/{name}"] = to_numpy(temperature)
    losses = {name: float(to_numpy(value)) for name, value in losses.items()}
    # As the authors return and log them.
    losses |= _weighted(model, losses)
    losses["total_loss"] = sum(losses[name] for name in model.loss_weights)
    losses = {f"loss/{n}": np.array(losses[f"{n}_loss"]) for n in LOSSES}
    return results, losses


def _weighted(model, losses):
    """The losses of images and patches, by their factors."""
    return {
        name: weight * float(to_numpy(losses[name]))
        for name, weight in model.loss_weights.items()
    }


def _scores(model, name, tokens):
    """What a head makes of all tokens, the class token first."""
    _, head, own = _of(model, name)
    bottleneck = head.project(tokens)
    return {
        "bottleneck": bottleneck,
        "class_logits": head.prototypes(bottleneck[:, 0]),
        "patch_logits": (own or head.prototypes)(bottleneck[:, 1:]),
    }


def _other_size(arrays, config):
    """The teacher's features of images of another size."""
    encoder = make_model(arrays, config, 0).encoder
    images = channels_last(arrays["images_other_size"])
    normed = [k for k in arrays if k.startswith("eval_other_size/normed_")]
    count = int(normed[0].rpartition("_")[2])
    first = encoder.num_layers - count + 1
    layers = tuple(range(first, encoder.num_layers + 1))
    with recorded({"first": encoder.blocks[0]}) as passed:
        outputs = encoder.encode_images(images, layers=layers)
    results = {"eval_other_size/tokens": to_numpy(passed["first"][0][0])}
    for index, layer in enumerate(layers):
        results[f"eval_other_size/normed_{index}_of_last_{count}"] = to_numpy(
            outputs[f"layer_{layer}"]
        )
    return results


def _start_of_teacher(arrays, config):
    """The teacher's prototypes, as it starts with the student's."""
    names = [name for name in arrays if name.startswith("loaded/")]
    model = make_model(arrays, config, 0)
    model.start_teacher()
    weights = in_their_layout(
        pairs_of(model, "teacher"), shapes_of(under(arrays, "weights/teacher."))
    )
    return {
        k: v for k, v in named("loaded/teacher.", weights).items() if k in names
    }


def _gradients(arrays, config):
    model = make_model(arrays, config, step_of_the_batch(config))
    of_student = _of_student(model, arrays)
    gradients, _ = take_gradient_step(model, _batch(arrays), *of_student)
    names = _trained_names(model, arrays, config)
    return named("grad/", {name: gradients[name] for name in names}), {
        "center_after": to_numpy(model.centering.center)[None],
        "center2_after": to_numpy(model.patch_centering.center)[None, None],
    }


def _of_student(model, arrays):
    """Where the student's weights are, see `in_their_layout`."""
    shapes = shapes_of(under(arrays, "weights/student."))
    return pairs_of(model, "student"), shapes


def _trained_names(model, arrays, config):
    names = trained_names(model, *_of_student(model, arrays))
    return _without_second_names(names, config)


def _without_second_names(names, config):
    """Leaves out the second name of shared prototypes."""
    return [
        name
        for name in names
        if not (config["shared_head"] and ".last_layer2." in name)
    ]


def _compile(model, config):
    total_steps, per_epoch = total_steps_of(config), config["ipe"]
    model.compile(
        model.published_optimizer(
            total_steps,
            config["batch"],
            learning_rate=warmup_cosine(
                config["lr"] * config["batch"] / 256,
                total_steps,
                config["warmup_epochs"] * per_epoch,
                final_value=config["min_lr"],
            ),
            weight_decay=warmup_cosine(
                config["weight_decay"],
                total_steps,
                final_value=config["weight_decay_end"],
            ),
            frozen_steps=config["freeze_last_layer"] * per_epoch,
            clip_norm=config["clip_grad"] or None,
        )
    )


def _training(arrays, config):
    model, shadow = (make_model(arrays, config) for _ in range(2))
    _compile(model, config)
    shadow.compile(keras.optimizers.SGD(1.0))
    names = _trained_names(model, arrays, config)
    losses, norms, schedules = [], [], {}
    for step in range(total_steps_of(config)):
        batch = _batch(arrays, "train/", step)
        norms.append(_gradient_norms(model, shadow, batch, names, arrays))
        decay = float(model.optimizer.weight_decay(step))
        logs = model.train_on_batch(batch, return_dict=True)
        losses.append([*_weighted(model, logs).values(), logs["loss"]])
        for name, value in (
            ("lr", logs["learning_rate"]),
            ("weight_decay", decay),
            ("momentum", logs["ema_momentum"]),
            ("class_temperature", model.centering.current_temperature),
            ("patch_temperature", model.patch_centering.current_temperature),
        ):
            schedules.setdefault(name, []).append(float(to_numpy(value)))
    final = {}
    for name in NETWORKS:
        shapes = shapes_of(under(arrays, f"weights/{name}."))
        weights = in_their_layout(pairs_of(model, name), shapes)
        final |= named(f"final/{name}.", weights)
    final["final/center"] = to_numpy(model.centering.center)[None]
    final["final/center2"] = to_numpy(model.patch_centering.center)[None, None]
    return {
        "losses": {"train/losses": np.array(losses)},
        "gradients": {"train/gradient_norms": np.array(norms)},
        "schedules": {
            f"schedule/{name}": np.array(v) for name, v in schedules.items()
        },
        "final": final,
    }


def _gradient_norms(model, shadow, batch, names, arrays):
    """The norms of the gradients of the model's next step.

    Args:
        model: The model that is trained, left as it is.
        shadow: Another, with a rate of 1 and as many steps behind it.
        batch: What the model is trained on next.
        names: Whose norms to return, by the authors' names.
        arrays: Dictionary from name to array.
    """
    values = {w.path: to_numpy(w) for w in model.weights}
    assign(zip(shadow.weights, values.values(), strict=True))
    shadow.train_on_batch(batch)
    before, after = (
        in_their_layout(*_of_student(one, arrays)) for one in (model, shadow)
    )
    return [np.linalg.norm(before[name] - after[name]) for name in names]


def _groups(arrays, config):
    """Whether the same parameters decay, and are trained."""
    model = make_model(arrays, config, 0)
    _compile(model, config)
    decayed, exempt = (
        _without_second_names(names, config)
        for names in names_by_decay(model, *_of_student(model, arrays))
    )
    theirs = config["parameter_groups"]
    return {
        f"parameter_groups/{name}": 0.0
        if set(ours) == set(theirs[name])
        else DIFFERENT
        for name, ours in (
            ("decay", decayed),
            ("no_decay", exempt),
            ("gradient_norm_names", [*decayed, *exempt]),
        )
    }
