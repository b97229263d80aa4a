"""DINOv2 on the arrays of its authors."""

import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.dinov2_masks import sampled_masks
from benchmarks.replay.dinov2_model import CENTERINGS
from benchmarks.replay.dinov2_model import SHARING
from benchmarks.replay.dinov2_model import centers_as_theirs
from benchmarks.replay.dinov2_model import combinations
from benchmarks.replay.dinov2_model import make_model
from benchmarks.replay.dinov2_model import names_of_trained
from benchmarks.replay.dinov2_model import own_combination
from benchmarks.replay.dinov2_model import places_of
from benchmarks.replay.dinov2_step import batch_of
from benchmarks.replay.dinov2_step import logged_losses
from benchmarks.replay.dinov2_step import run_recorded
from benchmarks.replay.dinov2_tokens import shifted_tokens
from benchmarks.replay.dinov2_training import replay_schedules
from benchmarks.replay.dinov2_training import replay_training
from benchmarks.replay.files import loaded_weights
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.noise import key_bias_noise
from benchmarks.replay.views import by_view
from benchmarks.replay.weights import to_numpy
from keras_capi.methods.inputs.hidden_patches import find_hidden
from keras_capi.methods.inputs.hidden_patches import hidden_weights


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
    result.add("forward", _padding(arrays, config))
    result.add("schedules", replay_schedules(arrays, config))
    if "train/losses" in arrays:
        losses, final = replay_training(arrays, config)
        result.add("losses", losses)
        result.add("final", final)
        bound = 2 * arrays["schedule/lr"].sum()
        result.noise = key_bias_noise(final, bound)
    else:
        result.notes["weights after a training"] = "not in the file"
    result.leave_out(_unlogged(config) - set(arrays))
    if "left_out" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = loaded_weights(arrays, ("dino_center", "ibot_center"))
    for name in arrays:
        if name.rpartition("/")[2].startswith("collated_"):
            kind = name.rpartition("collated_")[2].replace("_", " ")
            step = "the training" if "/" in name else "the single step"
            uses[name] = f"{kind} of {step}"
    return uses


def _unlogged(config):
    """Losses that the authors' code does not name where it does without."""
    losses = []
    if not config["koleo_weight"]:
        losses.append("koleo_loss")
    if not config["local_crops"]:
        losses.append("dino_local_crops_loss")
    return {
        f"{centering}/{sharing}/{loss}"
        for centering in CENTERINGS
        for sharing in SHARING
        for loss in losses
    }


def _forward(arrays, config, combination):
    model = make_model(
        arrays, config, combination, config["temperature_of_the_step"]
    )
    batch = batch_of(arrays, config)
    losses, passed = run_recorded(model, batch)
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
    losses = logged_losses(model, config, losses, passed)
    losses = {k: np.array(v) for k, v in losses.items()}
    return results, named(f"{prefix}/", losses)


def _gradients(arrays, config, combination):
    prefix = "/".join(combination)
    if not under(arrays, f"{prefix}/token_grad/"):
        return {}, {}
    model = make_model(
        arrays, config, combination, config["temperature_of_the_step"]
    )
    batch, size = batch_of(arrays, config), config["batch"]
    of_student = places_of(model, arrays, "student")
    with shifted_tokens(model, batch) as shifts:
        gradients, _ = take_gradient_step(model, batch, *of_student)
        names = names_of_trained(model, arrays)
        of_tokens = {k: by_view(-to_numpy(v), size) for k, v in shifts.items()}
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
        centers = centers_as_theirs(model, f"{prefix}/", "_after")
    return results, centers


def _norm(gradients):
    squares = [
        np.square(gradient, dtype="float64").sum()
        for gradient in gradients.values()
    ]
    return np.sqrt(sum(squares))


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
        bound = masking.count_hidden_in_batch(mask.shape[1], (1, mask.shape[2]))
        places = to_numpy(find_hidden(mask, bound))
        results |= {
            f"{prefix}mask_indices_list": places[:count].astype("int64"),
            f"{prefix}masks_weight": weights[mask].astype("float32"),
            f"{prefix}upperbound": np.array(bound),
        }
    return results
