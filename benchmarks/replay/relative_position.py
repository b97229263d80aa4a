"""Relative positions on the arrays of its author's code, on CAPI's trunk."""

import numpy as np
from keras import ops

from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.patch_preparation import CELLS
from benchmarks.replay.patch_preparation import replay_patches
from benchmarks.replay.recording import recorded
from benchmarks.replay.relative_position_model import as_image
from benchmarks.replay.relative_position_model import decay_unused
from benchmarks.replay.relative_position_model import make_model
from benchmarks.replay.relative_position_model import pairs_of
from benchmarks.replay.relative_position_model import unused_biases
from benchmarks.replay.rotary_trunk import FREQUENCIES
from benchmarks.replay.sgd import SGD
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays))
    if CELLS in arrays:
        patches, inputs = replay_patches(arrays, config)
        result.add("forward", patches)
        result.inputs |= inputs
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    result.add("gradients", _gradients(arrays, config))
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.fixed = {name for name in final if name.endswith(FREQUENCIES)}
    result.notes["masks"] = (
        "the sampler is judged by its corners; there are no masks"
    )
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {
        "input": "patches of the forward pass",
        "pairs": "pairs of the forward pass",
        "labels": "labels of the forward pass",
    }
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        if name.startswith("train/") and name != "train/losses":
            uses[name] = "patches, pairs and labels of a training step"
    return uses


def _forward(arrays, config):
    model = make_model(arrays, config)
    head, trunk = model.head, model.encoder.encoder
    batch = as_image(arrays)
    layers = {
        "first": trunk.blocks[0],
        "fc6": head.patch_norm or head.patch_layer,
        "pooled": head.patch_layer,
        "fc7": head.pair_norm or head.pair_layer,
        "fc8": head.hidden_layer,
        "logits": head.score_layer,
    }
    if not config["batchnorm"]:
        layers.pop("pooled")
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=True)
    images = batch["patches"][0]
    pooled = passed["pooled" if config["batchnorm"] else "fc6"][-1][0]
    forward = {
        "tokens": passed["first"][-1][0],
        "encoder_output": trunk(images),
        "pooled": pooled[0],
        "logits": passed["logits"][-1][1][0],
        **{
            name: ops.relu(passed[name][-1][1][0])
            for name in ("fc6", "fc7", "fc8")
        },
    }
    return (
        {f"forward/{name}": to_numpy(x) for name, x in forward.items()},
        {
            "loss": to_numpy(losses["position_loss"]),
            "loss_per_pair": to_numpy(losses["pair_loss"]),
        },
    )


def _gradients(arrays, config):
    model = make_model(arrays, config)
    weights = under(arrays, "weights/")
    gradients, _ = take_gradient_step(
        model,
        as_image(arrays),
        lambda state: pairs_of(state, model),
        shapes_of(weights),
    )
    for name in unused_biases(weights, model):
        gradients[name] = np.zeros_like(weights[name])
    return {
        f"grad/{name}": values
        for name, values in gradients.items()
        if not name.endswith(FREQUENCIES)
    }


def _training(arrays, config):
    model = make_model(arrays, config)
    settings = config["optimizer"]
    model.compile(
        SGD(
            settings["lr"],
            momentum=settings["momentum"],
            weight_decay=settings["weight_decay"],
        )
    )
    steps = len(arrays["train/losses"])
    logs = [
        model.train_on_batch(
            as_image(under(arrays, f"train/{step}/")), return_dict=True
        )
        for step in range(steps)
    ]
    weights = under(arrays, "weights/")
    final = in_their_layout(
        lambda state: pairs_of(state, model), shapes_of(weights)
    )
    for name in unused_biases(weights, model):
        final[name] = decay_unused(weights[name], settings, steps)
    losses = [(log["position_loss"], log["pair_loss"]) for log in logs]
    return (
        {"train/losses": np.array(losses)},
        {"schedule/lr": np.array([log["learning_rate"] for log in logs])},
        named("final/", final),
    )
