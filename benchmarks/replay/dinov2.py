"""DINOv2 on the arrays of its authors."""

import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.dinov2_masks import sampled_masks
from benchmarks.replay.dinov2_model import centers_of
from benchmarks.replay.dinov2_model import combinations
from benchmarks.replay.dinov2_model import make_model
from benchmarks.replay.dinov2_model import own_combination
from benchmarks.replay.dinov2_model import pairs_of
from benchmarks.replay.dinov2_model import temperature_schedule
from benchmarks.replay.dinov2_model import total_steps_of
from benchmarks.replay.dinov2_tokens import shifted_tokens
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import multipliers
from benchmarks.replay.groups import trained_names
from benchmarks.replay.noise import key_bias_noise
from benchmarks.replay.recording import recorded
from benchmarks.replay.views import by_view
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.methods.inputs.hidden_patches import find_hidden
from keras_capi.methods.inputs.hidden_patches import hidden_weights

NETWORKS = ("student", "teacher")


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`.

    There may be masks among the arrays, and nothing else.
    """
    result = Replay()
    result.add("masks", sampled_masks(arrays))
    if not result.results["masks"]:
        result.notes["masks of the sampler"] = "no file of masks is there"
    if "configuration" not in description:
        return result
    config = description["configuration"]
    result.inputs = _inputs(arrays)
    for combination in combinations(arrays):
        forward, losses = _forward(arrays, config, combination)
        result.add("forward", forward)
        result.add("losses", losses)
        gradients, centers = _gradients(arrays, config, combination)
        result.add("gradients", gradients)
        result.add("forward", centers)
    training = _training(arrays, config)
    for group, results in training.items():
        result.add(group, results)
    result.add("forward", _padding(arrays, config))
    result.noise = key_bias_noise(
        training["final"], 2 * arrays["schedule/lr"].sum()
    )
    if "left_out" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {}
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        elif name.rpartition("/")[2].startswith("collated_"):
            kind = name.rpartition("collated_")[2].replace("_", " ")
            step = "the training" if "/" in name else "the single step"
            uses[name] = f"{kind} of {step}"
    return uses


def _batch(arrays, config, prefix=""):
    """Views and masks with the batch first, in our layout."""
    batch = {}
    for name, theirs in (
        ("global_views", "global_crops"),
        ("local_views", "local_crops"),
        ("mask", "masks"),
    ):
        values = arrays.get(f"{prefix}collated_{theirs}")
        if values is not None and len(values):
            # All samples of the first view, then of the second.
            shape = (-1, config["batch"], *values.shape[1:])
            values = values.reshape(shape).swapaxes(0, 1)
            batch[name] = values if name == "mask" else channels_last(values)
    return batch


def _parts(model, name):
    """Returns encoder, head and the head of patches."""
    if name == "student":
        head = model.head
        return model.student, head, model.patch_head or head
    head = model.teacher_head
    return model.teacher, head, model.teacher_patch_head or head


def _passed(model, batch):
    """Runs the model, and returns its losses and what passed through it."""
    layers = {
        "dino_targets": model.centering,
        "ibot_targets": model.patch_centering,
    }
    for name in NETWORKS:
        encoder, head, patch_head = _parts(model, name)
        layers |= {
            f"{name}/output": encoder.final_norm,
            f"{name}/block": encoder.blocks[0],
            f"{name}/head": head,
        }
        if patch_head is not head:
            layers[f"{name}/patch_head"] = patch_head
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    results = {
        "dino_targets": passed["dino_targets"][0][1],
        "ibot_targets": passed["ibot_targets"][0][1],
    }
    for name in NETWORKS:
        for index, views in enumerate(("global", "local")):
            if index < len(passed[f"{name}/output"]):
                key = f"{name}_{views}"
                results[f"{key}/output"] = passed[f"{name}/output"][index][1]
                results[f"{key}/tokens"] = passed[f"{name}/block"][index][0]
        # If one head serves both, the teacher scores images first, the student
        # patches.
        calls = [outputs for _, outputs in passed[f"{name}/head"]]
        calls += [outputs for _, outputs in passed[f"{name}/patch_head"]]
        calls.sort(key=lambda scores: -len(scores.shape))
        results[f"{name}/class"], results[f"{name}/patches"] = calls
    return losses, {k: to_numpy(v) for k, v in results.items()}


def _losses(model, config, batch, losses, passed):
    """The losses as they are logged by the authors, by name."""
    targets, logits = passed["dino_targets"], passed["student/class"]
    num_pairs = 2 * (logits.shape[1] - 1)
    between = keras_capi.ops.view_cross_entropy(
        targets, logits[:, :2], model.student_temperature
    )
    of_global = 2 * float(to_numpy(between)) / num_pairs
    losses = {name: float(to_numpy(value)) for name, value in losses.items()}
    total = sum(w * losses[name] for name, w in model.loss_weights.items())
    return {
        "dino_local_crops_loss": losses["class_loss"] - of_global,
        "dino_global_crops_loss": of_global,
        # What is added is twice that.
        "koleo_loss": config["koleo_weight"] * losses["koleo_loss"] / 2,
        "ibot_loss": losses["patch_loss"] / 2,
        "total_loss": total,
    }


def _forward(arrays, config, combination):
    model = make_model(
        arrays, config, combination, config["temperature_of_the_step"]
    )
    batch = _batch(arrays, config)
    losses, passed = _passed(model, batch)
    mask, size = batch["mask"], config["batch"]
    hidden = by_view(mask.reshape(-1, mask.shape[-1]), size)

    def of_hidden(values):
        # Of all patches, view by view.
        values = values.reshape(-1, mask.shape[-1], values.shape[-1])
        return by_view(values, size)[hidden]

    def of_views(values):
        return by_view(values.reshape(-1, values.shape[-1]), size)

    logits = passed["student/class"]
    results = {
        # Of the other view.
        "teacher_dino_logits": of_views(passed["teacher/class"][:, ::-1]),
        "teacher_dino_targets": of_views(passed["dino_targets"][:, ::-1]),
        "teacher_ibot_logits": of_hidden(passed["teacher/patches"]),
        "teacher_ibot_targets": of_hidden(passed["ibot_targets"]),
        "student_global_logits": of_views(logits[:, :2]),
        "student_patch_logits": of_hidden(passed["student/patches"]),
    }
    if "local_views" in batch:
        results["student_local_logits"] = of_views(logits[:, 2:])
    prefix = "/".join(combination)
    results = named(f"{prefix}/", results)
    count = model.student.num_prefix_tokens
    for name in ("student_global", "student_local", "teacher_global"):
        if f"{name}/output" not in passed:
            continue
        output = by_view(passed[f"{name}/output"], size)
        results[f"{name}/x_norm_clstoken"] = output[:, 0]
        if name != "student_local":
            results[f"{name}/x_norm_patchtokens"] = output[:, count:]
        if name != "teacher_global":
            results[f"{name}/tokens"] = by_view(passed[f"{name}/tokens"], size)
    features = results["student_global/x_norm_clstoken"].reshape(2, size, -1)
    spread = [float(to_numpy(keras_capi.ops.koleo(x))) for x in features]
    results["koleo_of_each_view"] = np.array(spread)
    losses = _losses(model, config, batch, losses, passed)
    losses = {k: np.array(v) for k, v in losses.items()}
    return results, named(f"{prefix}/", losses)


def _gradients(arrays, config, combination):
    model = make_model(
        arrays, config, combination, config["temperature_of_the_step"]
    )
    batch, size = _batch(arrays, config), config["batch"]
    of_student = _of(model, arrays, "student")
    with shifted_tokens(model, batch) as shifts:
        gradients, _ = take_gradient_step(model, batch, *of_student)
        names = _trained_names(model, arrays)
        of_tokens = {k: by_view(-to_numpy(v), size) for k, v in shifts.items()}
    prefix = "/".join(combination)
    count = model.student.num_prefix_tokens
    results = {
        "student_global_x_norm_clstoken": of_tokens["global"][:, 0],
        "student_global_x_norm_patchtokens": of_tokens["global"][:, count:],
    }
    if "local" in of_tokens:
        results["student_local_x_norm_clstoken"] = of_tokens["local"][:, 0]
    results = named(f"{prefix}/token_grad/", results)
    if combination == own_combination(config):
        gradients = {name: gradients[name] for name in names}
        results |= named("grad/student.", gradients)
        networks = list(dict.fromkeys(n.partition(".")[0] for n in names))
        results["grad_norm_networks"] = np.array(networks)
        results["grad_norms"] = np.array(
            [_norm(under(gradients, f"{name}.")) for name in networks]
        )
    centers = {}
    if combination[0] == "centering":
        centers = _centers(model, f"{prefix}/", "_after")
    return results, centers


def _norm(gradients):
    squares = [
        np.square(gradient, dtype="float64").sum()
        for gradient in gradients.values()
    ]
    return np.sqrt(sum(squares))


def _centers(model, prefix, suffix=""):
    results = {}
    for name, layer in centers_of(model).items():
        shape = (1, -1) if name == "dino_center" else (1, 1, -1)
        center = to_numpy(layer.center).reshape(shape)
        results[f"{prefix}{name}{suffix}"] = center
    return results


def _of(model, arrays, name):
    """Where a network's weights are, see `in_their_layout`."""
    state = under(arrays, f"weights/{name}.")
    if model.patch_head is None:
        state = {k: v for k, v in state.items() if "ibot_head." not in k}
    return pairs_of(model, name), shapes_of(state)


def _trained_names(model, arrays):
    return list(trained_names(model, *_of(model, arrays, "student")))


def _compile(model, config):
    total_steps, per_epoch = total_steps_of(config), config["steps_per_epoch"]
    WarmupCosine = keras_capi.optimizers.WarmupCosine
    model.compile(
        model.published_optimizer(
            total_steps,
            config["batch"],
            learning_rate=WarmupCosine(
                config["lr"],
                total_steps,
                config["warmup_epochs"] * per_epoch,
                final_value=config["min_lr"],
                truncate=1.0,
            ),
            weight_decay=WarmupCosine(
                config["weight_decay"],
                total_steps,
                final_value=config["weight_decay_end"],
                truncate=1.0,
            ),
            frozen_steps=config["freeze_last_layer_epochs"] * per_epoch,
            clip_norm=config["clip_grad"] or None,
            layer_decay=config["layerwise_decay"],
        )
    )


def _training(arrays, config):
    combination = own_combination(config)
    model = make_model(
        arrays, config, combination, temperature_schedule(config)
    )
    _compile(model, config)
    optimizer = model.optimizer
    frozen_steps = optimizer.groups["last_layer"].frozen_steps
    names = list(arrays["train/loss_names"])
    losses, schedules = [], {}
    for step in range(total_steps_of(config)):
        batch = _batch(arrays, config, f"train/step_{step}/")
        decay = float(optimizer.weight_decay(step))
        model.before_update(step)
        _, passed = _passed(model, batch)
        logs = model.train_on_batch(batch, return_dict=True)
        values = _losses(
            model,
            config,
            batch,
            {name: logs[name] for name in model.loss_weights},
            passed,
        )
        losses.append([values[name] for name in names])
        for name, value in (
            ("lr", logs["learning_rate"]),
            ("weight_decay", decay),
            ("momentum", logs["ema_momentum"]),
            ("teacher_temperature", model.centering.current_temperature),
            (
                "last_layer_lr",
                0.0 if step < frozen_steps else logs["learning_rate"],
            ),
        ):
            schedules.setdefault(name, []).append(float(to_numpy(value)))
    final = {}
    for name in NETWORKS:
        weights = in_their_layout(*_of(model, arrays, name))
        final |= named(f"final/{name}.", weights)
    if combination[0] == "centering":
        final |= _centers(model, "final/")
    else:
        # Nothing moves them.
        for name in ("final/dino_center", "final/ibot_center"):
            if name in arrays:
                final[name] = arrays[name.replace("final", "weights")]
    return {
        "losses": {
            "train/losses": np.array(losses),
            "train/loss_names": np.array(names),
        },
        "schedules": {
            **{f"schedule/{k}": np.array(v) for k, v in schedules.items()},
            **_groups(model, arrays),
        },
        "final": final,
    }


def _groups(model, arrays):
    """What the optimizer does with each parameter, in the authors' order."""
    of_student = _of(model, arrays, "student")
    names = _trained_names(model, arrays)
    theirs = arrays["train/parameters"].tolist()
    if set(theirs) == set(names):
        names = theirs
    rates, decays = (
        multipliers(model, f"{kind}_multiplier", *of_student)
        for kind in ("learning_rate", "weight_decay")
    )
    frozen = multipliers(model, "frozen_steps", *of_student)
    return {
        "train/parameters": np.array(names),
        "train/lr_multiplier": np.array([rates[name] for name in names]),
        "train/wd_multiplier": np.array([decays[name] for name in names]),
        "train/is_last_layer": np.array([frozen[name] > 0 for name in names]),
    }


def _padding(arrays, config):
    """Where the hidden patches are, and what they weigh, as the authors do."""
    results = {}
    for name in arrays:
        if not name.endswith("collated_masks"):
            continue
        prefix = name.removesuffix("collated_masks")
        mask = arrays[name][None]
        count = int(mask.sum())
        weights = to_numpy(hidden_weights(mask)) * mask.shape[1]
        low, high = config["mask_ratio"]
        masking = keras_capi.layers.StratifiedMasking(
            mask_ratio=(low, high), masked_share=config["mask_probability"]
        )
        bound = masking.count_hidden(mask.shape[1], (1, mask.shape[2]))
        places = to_numpy(find_hidden(mask, bound))
        results |= {
            f"{prefix}mask_indices_list": places[:count].astype("int64"),
            f"{prefix}masks_weight": weights[mask].astype("float32"),
            f"{prefix}upperbound": np.array(bound),
        }
    return results
