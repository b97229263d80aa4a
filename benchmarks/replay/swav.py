"""SwAV on the arrays of its authors."""

import numpy as np

import keras_capi
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import trained_names
from benchmarks.replay.multi_crop_model import batch_of
from benchmarks.replay.multi_crop_model import bias_noise
from benchmarks.replay.multi_crop_model import count_batches
from benchmarks.replay.multi_crop_model import make_optimizer
from benchmarks.replay.multi_crop_model import rates_error
from benchmarks.replay.multi_crop_model import without_counter
from benchmarks.replay.recording import recorded
from benchmarks.replay.swav_model import make_model
from benchmarks.replay.swav_model import make_pretrained_queue
from benchmarks.replay.swav_model import pairs_of
from benchmarks.replay.views import by_view
from benchmarks.replay.views import flat
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
    gradients, losses = _gradients(arrays, config)
    result.add("gradients", gradients)
    result.add("losses", losses)
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    if "queue" not in arrays:
        _add_second_names(result, arrays)
    result.noise = bias_noise(final, arrays["schedule/lr"], config["wd"])
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {"queue": "embeddings of batches before the step"}
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        elif name.startswith(("views_", "train/views_")):
            uses[name] = "views"
    return {name: use for name, use in uses.items() if name in arrays}


def _add_second_names(result, arrays):
    """Adds what a file without a queue has under both names."""
    for results in result.results.values():
        for name in arrays:
            plain = name.replace("_without_queue", "")
            if plain in results:
                results[name] = results[plain]


def _forward(arrays, config):
    with_queue, losses = _one_pass(
        make_pretrained_queue(arrays, config), arrays
    )
    if "queue" not in arrays:
        return with_queue, losses
    without, losses_without = _one_pass(make_model(arrays, config), arrays)
    forward = {
        **with_queue,
        **{
            name.replace("assignments_", "assignments_without_queue_"): values
            for name, values in without.items()
            if name.startswith("assignments_")
        },
    }
    losses["loss_parts_without_queue"] = losses_without["loss_parts"]
    return forward, losses


def _one_pass(model, arrays):
    """What passes through a model in one step."""
    batch = batch_of(arrays)
    batch_size = len(batch["global_views"])
    head = model.head
    layers = {
        "features": model.encoder,
        "head/output": head.output_layer,
        "embeddings": head,
        "scores": model.prototypes,
    }
    if head.hidden is not None:
        layers["head/hidden"] = head.hidden
        layers["head/normalized"] = head.normalization
    model.before_update(0)
    results = {
        "prototypes_normalized": to_numpy(model.prototypes.kernel).T,
    }
    assign = {"assignments": model}
    with recorded(layers) as passed, recorded(assign, "assign") as assigned:
        model.compute_losses(batch, training=True)
    features = passed.pop("features")
    results["features"] = np.concatenate(
        [by_view(outputs["global"], batch_size) for _, outputs in features]
    )
    for name, calls in passed.items():
        # The first call, as those of the queue are behind it.
        results[name] = by_view(flat(calls[0][1]), batch_size)
    scores = to_numpy(passed["scores"][0][1])
    targets = to_numpy(assigned["assignments"][0][1])
    for place, view in enumerate(model.assigned_views):
        results[f"assignments_{view}"] = targets[:, place]
    state = under(arrays, "weights/")
    buffers = {
        name: values
        for name, values in _state(model, state).items()
        if "running" in name
    }
    results |= named("buffers_after/", buffers)
    results |= count_batches(state, "buffers_after/", 1)
    if model.queue is not None:
        results["queue_after"] = _queue(model)
    pairs = [
        (i, v)
        for i in model.assigned_views
        for v in range(scores.shape[1])
        if v != i
    ]
    parts = [
        keras_capi.ops.soft_cross_entropy(
            results[f"assignments_{i}"], scores[:, v], model.temperature
        )
        for i, v in pairs
    ]
    return results, {
        "loss_pairs": np.array(pairs),
        "loss_parts": np.array([to_numpy(part) for part in parts]),
    }


def _state(model, state):
    """The model's weights as the authors have them."""
    return in_their_layout(pairs_of(model), shapes_of(without_counter(state)))


def _queue(model):
    """The queue as the authors have it, with zeros where there is nothing."""
    queue = model.queue
    features = (
        to_numpy(queue.features) * to_numpy(queue.is_filled)[:, None, None]
    )
    return features.swapaxes(0, 1)


def _gradients(arrays, config):
    gradients, losses = {}, {}
    models = {"": make_pretrained_queue(arrays, config)}
    if "queue" in arrays:
        models["_without_queue"] = make_model(arrays, config)
    state = without_counter(under(arrays, "weights/"))
    for suffix, model in models.items():
        # So that the step itself changes nothing but by the gradient.
        model.before_update(0)
        of_model = pairs_of(model), shapes_of(state)
        found, logs = take_gradient_step(model, batch_of(arrays), *of_model)
        names = trained_names(model, *of_model)
        gradients |= {f"grad{suffix}/{name}": found[name] for name in names}
        losses[f"loss{suffix}"] = np.float64(logs["loss"])
    return gradients, losses


def _training(arrays, config):
    total_steps = config["epochs"] * config["steps_per_epoch"]
    batch_size = arrays["train/views_0"].shape[2]
    model = make_model(
        arrays,
        config,
        queue_size=config["queue_length"] // batch_size * batch_size,
        queue_start=config["epoch_queue_starts"] * config["steps_per_epoch"],
    )
    model.compile(make_optimizer(model, config, total_steps, batch_size))
    frozen_steps = model.optimizer.groups["prototypes"].frozen_steps
    losses, rates, used = [], [], []
    for step in range(total_steps):
        used.append(model.queue is not None and bool(model.queue.is_full))
        batch = batch_of(arrays, "train/", step)
        logs = model.train_on_batch(batch, return_dict=True)
        losses.append(logs["loss"])
        rates.append(logs["learning_rate"])
    state = under(arrays, "weights/")
    final = named("final/", _state(model, state))
    final |= count_batches(state, "final/", total_steps)
    if model.queue is not None:
        final["final/queue"] = _queue(model)
    return (
        {"train/losses": np.array(losses)},
        {
            "schedule/lr": rates_error(rates),
            "schedule/prototypes_frozen": np.arange(total_steps) < frozen_steps,
            "schedule/queue_used": np.array(used),
        },
        final,
    )
