"""Rotation prediction on the arrays of its authors' code, on CAPI's trunk."""

import keras
import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.recording import recorded
from benchmarks.replay.rotary_trunk import FREQUENCIES
from benchmarks.replay.rotary_trunk import linear_pairs
from benchmarks.replay.rotary_trunk import make_trunk
from benchmarks.replay.rotary_trunk import trunk_pairs
from benchmarks.replay.sgd import SGD
from benchmarks.replay.weights import assign
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays))
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
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def make_model(arrays, config):
    """Returns the model of a file with its initial weights."""
    encoder = make_trunk(config, arrays["images"].shape[1:])
    model = keras_capi.methods.RotationPrediction(encoder)
    assign(pairs_of(under(arrays, "weights/"), model))
    return model


def pairs_of(state, model):
    """Pairs weights with their values in our layout.

    Args:
        state: Dictionary from the name in the file to array.
        model: `keras_capi.methods.RotationPrediction`.
    """
    yield from trunk_pairs(state, model.encoder)
    yield from linear_pairs(state, "head", model.head)


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "train/images": "images of the training steps",
    }
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
    return uses


def _normalized(images, config):
    pixels = images.astype("float32") / 255.0
    mean, std = (np.array(config[name], "float32") for name in ("mean", "std"))
    return (pixels - mean) / std


def _forward(arrays, config):
    model = make_model(arrays, config)
    trunk = model.encoder.encoder
    images = _normalized(arrays["images"], config)
    batch = model.prepare({"images": images}, training=False)
    rotated = to_numpy(batch["rotated_images"])
    rotated = rotated.reshape(-1, *rotated.shape[2:])
    layers = {"first": trunk.blocks[0], "head": model.head}
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    pooled, logits = passed["head"][-1]
    forward = {
        "rotated": rotated.transpose(0, 3, 1, 2),
        "labels": to_numpy(batch["labels"]).reshape(-1),
        "forward/tokens": to_numpy(passed["first"][-1][0]),
        "forward/coords": to_numpy(trunk.token_coordinates(rotated))[0],
        "forward/encoder_output": to_numpy(trunk(rotated)),
        "forward/pooled": to_numpy(pooled),
        "forward/logits": to_numpy(logits),
    }
    return forward, {
        "loss": to_numpy(losses["rotation_loss"]),
        "accuracy": to_numpy(losses["rotation_accuracy"]),
    }


def _gradients(arrays, config):
    model = make_model(arrays, config)
    gradients, _ = take_gradient_step(
        model,
        _normalized(arrays["images"], config),
        lambda state: pairs_of(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    return {
        f"grad/{name}": values
        for name, values in gradients.items()
        if not name.endswith(FREQUENCIES)
    }


def make_optimizer(settings):
    """Returns the authors' optimizer, whose rate follows a table.

    Args:
        settings: Dictionary, the `optimizer` of the configuration. Each row of
            its table is the epoch before which a rate holds, and the rate.
    """
    ends, rates = zip(*settings["LUT_lr"], strict=True)
    return SGD(
        keras.optimizers.schedules.PiecewiseConstantDecay(
            # Which keeps a value up to the boundary itself.
            [end - 1 for end in ends],
            [*rates, rates[-1]],
        ),
        momentum=settings["momentum"],
        nesterov=settings["nesterov"],
        weight_decay=settings["weight_decay"],
    )


def _training(arrays, config):
    model = make_model(arrays, config)
    model.compile(make_optimizer(config["optimizer"]))
    logs = [
        model.train_on_batch(_normalized(images, config), return_dict=True)
        for images in arrays["train/images"]
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
