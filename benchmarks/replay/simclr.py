"""SimCLR on the arrays of its authors."""

import math

import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import names_by_decay
from benchmarks.replay.recording import recorded
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.simclr_model import make_model
from benchmarks.replay.simclr_model import pairs_of
from benchmarks.replay.views import by_view
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.methods.inputs.view_inputs import encode_views

MOVING = "moving_"


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays))
    forward, losses = _forward(arrays, config)
    result.add("forward", forward)
    result.add("losses", losses)
    gradients, moving = _gradients(arrays, config)
    result.add("gradients", gradients)
    result.add("forward", moving)
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.notes["masks"] = "there is no sampler of masks to compare with"
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {
        "views": "views of the forward pass",
        "train/views": "views of the training steps",
    }
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
    return uses


def _batch(views):
    """Views with the batch first."""
    return {"global_views": views.swapaxes(0, 1).astype("float32")}


def _forward(arrays, config):
    model = make_model(arrays, config)
    batch = _batch(arrays["views"])
    batch_size, head = config["batch"], model.head
    features = encode_views(model.encoder, batch["global_views"])
    evaluated = head(features, training=False)
    layers = {
        f"{name}_{index}": layer
        for name, parts in (("dense", head.layers), ("normalized", head.norms))
        for index, layer in enumerate(parts)
    }
    with recorded({**layers, "head": head}) as passed:
        losses = model.compute_losses(batch, training=True)
    results = {
        f"head/{name}": by_view(passed[name][0][1], batch_size)
        for name in layers
    }
    projections = passed["head"][0][1]
    normalized = keras_capi.ops.l2_normalize(projections, epsilon=1e-6)
    labels, logits = keras_capi.ops.contrast_views(
        normalized, config["temperature"]
    )
    losses_of_rows = keras_capi.ops.label_cross_entropy(labels, logits)
    labels, similarities = to_numpy(labels), to_numpy(logits)
    similarities = similarities.reshape(2 * batch_size, -1)
    # There each view is similar to itself.
    length = np.square(to_numpy(normalized)).sum(-1) / config["temperature"]
    np.fill_diagonal(similarities, by_view(length[..., None], batch_size))
    results |= {
        "features": features,
        "projections": projections,
        "projections_normalized": normalized,
        "evaluation/projections": evaluated,
    }
    for name in list(results):
        if not name.startswith("head/"):
            values = to_numpy(results[name])
            results[name] = by_view(
                values.reshape(-1, values.shape[-1]), batch_size
            )
    return {
        **results,
        "similarities": similarities,
        "logits_ab": similarities[:batch_size, batch_size:],
        # Of the first views, among the second ones.
        "labels": np.eye(2 * batch_size, dtype="float32")[
            labels[0] - batch_size
        ],
    }, {
        "loss_of_each_row": to_numpy(losses_of_rows).reshape(-1),
        "loss": to_numpy(losses["contrastive_loss"]),
    }


def _of_weights(model, arrays):
    """Where the weights are, see `in_their_layout`."""
    shapes = shapes_of(under(arrays, "weights/"))
    return lambda state: pairs_of(model, state), shapes


def _gradients(arrays, config):
    model = make_model(arrays, config)
    make_pairs, shapes = _of_weights(model, arrays)
    gradients, _ = take_gradient_step(
        model, _batch(arrays["views"]), make_pairs, shapes
    )
    moved = in_their_layout(make_pairs, shapes)
    return {
        f"grad/{name}": values
        for name, values in gradients.items()
        if not _is_moving(name)
    }, {
        f"moving_after/{name}": values
        for name, values in moved.items()
        if _is_moving(name)
    }


def _is_moving(name):
    return name.rpartition("/")[2].startswith(MOVING)


def _compile(model, config):
    batch_size = config["batch"]
    scale = {
        "linear": batch_size / 256,
        "sqrt": math.sqrt(batch_size),
    }[config["learning_rate_scaling"]]
    num_examples = config["num_examples"]
    total_steps = num_examples * config["epochs"] // batch_size + 1
    rate = warmup_cosine(
        config["learning_rate"] * scale,
        total_steps,
        round(config["warmup_epochs"] * num_examples // batch_size),
        warmup_endpoint=False,
    )
    model.compile(
        model.published_optimizer(
            total_steps,
            batch_size,
            learning_rate=rate,
            weight_decay=config["weight_decay"],
            momentum=config["momentum"],
        )
    )
    return [float(rate(step)) for step in range(total_steps)]


def _training(arrays, config):
    model = make_model(arrays, config)
    rates = _compile(model, config)
    logs = [
        model.train_on_batch(_batch(views), return_dict=True)
        for views in arrays["train/views"]
    ]
    of_weights = _of_weights(model, arrays)
    # What does not decay does not adapt its rate either.
    decayed, _ = names_by_decay(model, *of_weights)
    return (
        {"train/losses": np.array([log["loss"] for log in logs])},
        {
            # A file may have less steps than the schedule.
            "schedule/lr": np.array(
                [log["learning_rate"] for log in logs] + rates[len(logs) :]
            ),
            "train/decayed_parameters": decayed,
            "train/adapted_parameters": decayed,
        },
        named("final/", in_their_layout(*of_weights)),
    )
