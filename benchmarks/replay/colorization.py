"""Colourisation on the arrays of its specification, on CAPI's trunk."""

import keras
import numpy as np

import keras_capi
from benchmarks.replay.caffe_adam import CaffeAdam
from benchmarks.replay.colorization_model import make_model
from benchmarks.replay.colorization_model import pairs_of
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.recording import recorded
from benchmarks.replay.rotary_trunk import FREQUENCIES
from benchmarks.replay.user_guided import USER_GUIDED
from benchmarks.replay.user_guided import replay_user_guided
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy

ANNEALED = "decode/annealed_mean_"


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays, config))
    result.add("forward", _bins(arrays, config))
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    result.add("gradients", _gradients(arrays, config))
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.fixed = {name for name in final if name.endswith(FREQUENCIES)}
    result.notes["masks"] = "there is no sampler of masks to compare with"
    user_guided = under(arrays, USER_GUIDED)
    if user_guided:
        results, inputs = replay_user_guided(user_guided)
        for group, values in results.items():
            result.add(group, named(USER_GUIDED, values))
        result.inputs |= named(USER_GUIDED, inputs)
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays, config):
    uses = {
        "images": "images of the forward pass",
        "train/images": "images of the training steps",
        "prior": "how often bins occur",
    }
    if config["bins"] not in KINDS:
        uses["bins"] = "the colours to choose among"
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
    return uses


KINDS = {"published": "bins_published", "gamut": "bins_of_the_gamut"}


def _bins(arrays, config):
    bins = {
        name: keras_capi.ops.color_bins(kind) for kind, name in KINDS.items()
    }
    if config["bins"] in KINDS:
        bins["bins"] = bins[KINDS[config["bins"]]]
    return {name: values for name, values in bins.items() if name in arrays}


def _to_unit(images):
    return images.astype("float32") / 255.0


def _forward(arrays, config):
    model = make_model(arrays, config)
    trunk, targets = model.encoder.encoder, model.targets
    images = _to_unit(arrays["images"])
    batch = model.prepare({"images": images}, training=False)
    layers = {"first": trunk.blocks[0], "targets": targets}
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    indices, shares, weights = map(to_numpy, passed["targets"][-1][1])
    gray = batch["corrupted_images"]
    logits = model.predict_logits(gray)
    costs = to_numpy(
        keras_capi.ops.shared_cross_entropy(indices, shares, logits)
    )
    factor = keras_capi.ops.rebalancing_weights(
        arrays["prior"], config["gamma"], config["alpha"]
    )
    colors = to_numpy(batch["colors"])
    forward = {
        "lab": to_numpy(keras_capi.ops.rgb_to_lab(images)),
        "input": to_numpy(gray).transpose(0, 3, 1, 2),
        "prior_factor": to_numpy(factor),
        "target/ab": colors,
        "target/indices": _compare_neighbors(colors, arrays["bins"], indices),
        "target/code": shares,
        # Of images without colours no place counts.
        "target/nongray": (weights > 0).any(axis=(1, 2)),
        "target/weight": weights,
        "forward/tokens": to_numpy(passed["first"][-1][0]),
        "forward/encoder_output": to_numpy(trunk(gray)),
        "forward/logits": to_numpy(logits),
        "forward/cross_entropy": costs,
        "decode/mode": arrays["bins"][to_numpy(logits).argmax(axis=-1)],
    }
    for name in arrays:
        if name.startswith(ANNEALED):
            temperature = float(name.removeprefix(ANNEALED))
            colors = model.predict_colors(gray, temperature)
            forward[name] = to_numpy(colors)
    return forward, {
        "loss": to_numpy(losses["color_loss"]),
        "loss_unweighted": to_numpy(losses["color_cross_entropy"]),
        # Of the paper, which adds up all places.
        "loss_sum_per_image": to_numpy(losses["color_loss"]) * costs[0].size,
    }


def _compare_neighbors(colors, bins, ours):
    """Returns what compares neighbours, whose order is chance in a tie."""

    def compare(theirs):
        if theirs.shape != ours.shape or theirs.dtype.kind not in "iu":
            return DIFFERENT
        if theirs.min() < 0 or theirs.max() >= len(bins):
            return DIFFERENT
        distances = [
            np.linalg.norm(colors[..., None, :] - bins[x], axis=-1)
            for x in (ours, theirs)
        ]
        differ = np.abs(distances[0] - distances[1])
        repeated = (np.diff(np.sort(theirs, axis=-1)) == 0).any()
        return DIFFERENT if repeated or differ.max() > 1e-3 else 0.0

    return compare


def _gradients(arrays, config):
    model = make_model(arrays, config)
    gradients, _ = take_gradient_step(
        model,
        _to_unit(arrays["images"]),
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    return {
        f"grad/{name}": values
        for name, values in gradients.items()
        if not name.endswith(FREQUENCIES)
    }


def _make_optimizer(settings, num_steps):
    step = settings["stepsize"]
    boundaries = list(range(step, num_steps, step)) or [num_steps]
    rates = [
        settings["lr"] * settings["gamma"] ** count
        for count in range(len(boundaries) + 1)
    ]
    return CaffeAdam(
        keras.optimizers.schedules.PiecewiseConstantDecay(
            # Which keeps a value up to the boundary itself.
            [boundary - 1 for boundary in boundaries],
            rates,
        ),
        beta_1=settings["beta1"],
        beta_2=settings["beta2"],
        epsilon=settings["eps"],
        weight_decay=settings["weight_decay"],
    )


def _training(arrays, config):
    model = make_model(arrays, config)
    images = arrays["train/images"]
    model.compile(_make_optimizer(config["optimizer"], len(images)))
    logs = [
        model.train_on_batch(_to_unit(batch), return_dict=True)
        for batch in images
    ]
    final = in_their_layout(
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    return (
        {"train/losses": np.array([log["loss"] for log in logs])},
        {"schedule/lr": np.array([log["learning_rate"] for log in logs])},
        named("final/", final),
    )
