"""DeepCluster v2 on the arrays of its authors."""

import numpy as np

from benchmarks.replay.comparison import Replay
from benchmarks.replay.deepclusterv2_model import fill_memory
from benchmarks.replay.deepclusterv2_model import make_model
from benchmarks.replay.deepclusterv2_model import numbered_batch
from benchmarks.replay.deepclusterv2_model import pairs_of
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.groups import trained_names
from benchmarks.replay.multi_crop_model import bias_noise
from benchmarks.replay.multi_crop_model import count_batches
from benchmarks.replay.multi_crop_model import make_optimizer
from benchmarks.replay.multi_crop_model import rates_error
from benchmarks.replay.multi_crop_model import without_counter
from benchmarks.replay.recording import recorded
from benchmarks.replay.views import by_view
from benchmarks.replay.views import flat
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays))
    model = make_model(arrays, config)
    result.add("forward", _clusters(model, arrays))
    forward, gradients, losses = _step(model, arrays)
    result.add("forward", forward)
    result.add("gradients", gradients)
    result.add("losses", losses)
    losses, schedules, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    result.noise = bias_noise(final, arrays["schedule/lr"], config["wd"])
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {}
    for name in arrays:
        last = name.rpartition("/")[2]
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        elif last.startswith("views_"):
            uses[name] = "views"
        elif last == "indices":
            uses[name] = "numbers of images"
        elif last == "start_indices":
            uses[name] = "where clusters start"
    return uses


def _state(model, arrays):
    state = without_counter(under(arrays, "weights/"))
    return in_their_layout(pairs_of(model), shapes_of(state))


def _memory(model):
    """Numbers of images, and embeddings as the authors have them."""
    indices, embeddings = model.memory.filled()
    return indices, embeddings.swapaxes(0, 1)


def _clusters(model, arrays):
    """Fills the memory, and clusters what is in it."""
    steps = fill_memory(model, arrays, "memory/")
    indices, embeddings = _memory(model)
    results = {
        "images_in_the_data_set": np.array(model.memory.num_images),
        "memory/index": indices,
        "memory/embeddings": embeddings,
    }
    buffers = {
        name: values
        for name, values in _state(model, arrays).items()
        if "running" in name
    }
    results |= named("memory/buffers_after/", buffers)
    # Each view by itself.
    results |= count_batches(
        under(arrays, "weights/"),
        "memory/buffers_after/",
        steps * len(model.memory_views),
    )
    model.assign_clusters(starts=arrays["cluster/start_indices"])
    labels = to_numpy(model.memory.labels)
    results["cluster/assignments"] = labels
    for number, layer in enumerate(model.prototypes):
        known = labels[number][labels[number] >= 0]
        results[f"cluster/centroids_{number}"] = to_numpy(layer.kernel).T
        results[f"cluster/counts_{number}"] = np.bincount(
            known, minlength=layer.num_prototypes
        )
    return results


def _step(model, arrays):
    """One step on the memory and clusters that are there."""
    batch = numbered_batch(arrays, "step/", 0)
    batch_size = len(batch["indices"])
    scores = {
        f"step/scores_{number}": layer
        for number, layer in enumerate(model.prototypes)
    }
    values = [to_numpy(weight) for weight in model.weights]
    with recorded({"step/embeddings": model.head, **scores}) as passed:
        model.compute_losses(batch, training=True)
    results = {
        name: by_view(flat(calls[0][1]), batch_size)
        for name, calls in passed.items()
    }
    indices, embeddings = _memory(model)
    results["step/memory_index_after"] = indices
    results["step/memory_embeddings_after"] = embeddings
    for weight, value in zip(model.weights, values, strict=True):
        weight.assign(value)
    labels = to_numpy(model.memory.labels)[:, batch["indices"]]
    num_views = results["step/embeddings"].shape[0] // batch_size
    parts = []
    for number, of_images in enumerate(labels):
        targets = np.tile(of_images, num_views)
        results[f"step/targets_{number}"] = targets
        found = results[f"step/scores_{number}"][targets >= 0]
        found = found.astype("float64") / model.temperature
        log_sums = np.log(np.exp(found).sum(axis=-1))
        right = found[np.arange(len(found)), targets[targets >= 0]]
        parts.append((log_sums - right).mean())
    of_model = (
        pairs_of(model),
        shapes_of(without_counter(under(arrays, "weights/"))),
    )
    gradients, logs = take_gradient_step(model, batch, *of_model)
    names = trained_names(model, *of_model)
    return (
        results,
        named("grad/", {name: gradients[name] for name in names}),
        {
            "step/losses_of_heads": np.array(parts),
            "step/loss": np.float64(logs["loss"]),
        },
    )


def _training(arrays, config):
    model = make_model(arrays, config)
    fill_memory(model, arrays, "train/epoch_0/")
    steps = config["steps_per_epoch"]
    total_steps = config["epochs"] * steps
    model.compile(make_optimizer(model, config, total_steps, config["batch"]))
    losses, rates, labels = [], [], []
    sums = {}
    for epoch in range(config["epochs"]):
        model.assign_clusters(starts=arrays["train/start_indices"][epoch])
        labels.append(to_numpy(model.memory.labels))
        sums[f"train/centroid_sums_{epoch}"] = np.array(
            [to_numpy(layer.kernel).sum(axis=1) for layer in model.prototypes]
        )
        for step in range(steps):
            batch = numbered_batch(arrays, f"train/epoch_{epoch}/", step)
            logs = model.train_on_batch(batch, return_dict=True)
            losses.append(logs["loss"])
            rates.append(logs["learning_rate"])
        model.memory.rewind()
    indices, embeddings = _memory(model)
    final = {
        **named("final/", _state(model, arrays)),
        "final/memory_index": indices,
        "final/memory_embeddings": embeddings,
        "train/assignments": np.array(labels),
        **sums,
    }
    final |= count_batches(
        under(arrays, "weights/"),
        "final/",
        total_steps + steps * len(model.memory_views),
    )
    return (
        {"train/losses": np.array(losses)},
        {"schedule/lr": rates_error(rates)},
        final,
    )
