"""DeepCluster (v1) on the arrays of its authors."""

import functools

import keras
import numpy as np

import keras_capi
from benchmarks.replay.cluster_samples import samples_judge
from benchmarks.replay.comparison import Replay
from benchmarks.replay.deepcluster_model import make_model
from benchmarks.replay.deepcluster_model import numbered_batch
from benchmarks.replay.deepcluster_model import pairs_of
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of

CENTROIDS = "kmeans/centroids_after_"


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    config = description["configuration"]
    result = Replay(inputs=_inputs(arrays))
    result.add("forward", _whitened(arrays, config))
    result.add("forward", _clusters(arrays))
    result.add("gradients", _gradients(arrays, config))
    losses, final = _training(arrays, config)
    result.add("losses", losses)
    result.add("final", final)
    result.add("masks", _samples(arrays, config))
    result.notes["schedules"] = "the rate is constant"
    if "shapes" in description:
        result.keep(description["shapes"])
    return result


def _inputs(arrays):
    uses = {
        "features": "what is clustered, and trained on",
        f"{CENTROIDS}0": "where clusters start",
    }
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
        if name.endswith("/indices"):
            uses[name] = "numbers of images"
    return uses


def _whitened(arrays, config):
    """Components, whose signs are free, with the signs of the file."""
    features = arrays["features"]
    matrix, offset, squares = keras_capi.ops.fit_whitening(
        features, config["pca"]
    )
    signs = np.sign((matrix * arrays["pca_matrix"]).sum(axis=1))
    matrix, offset = matrix * signs[:, None], offset * signs
    vectors = keras.utils.normalize(features @ matrix.T + offset)
    return {
        "pca_matrix": matrix,
        "pca_offset": offset,
        "pca_eigenvalues": squares,
        "preprocessed": vectors,
    }


def _clusters(arrays):
    cluster = functools.partial(
        keras_capi.ops.kmeans, arrays["preprocessed"], arrays[f"{CENTROIDS}0"]
    )
    # faiss ends earlier where nothing changes any more.
    num_iterations = len(arrays["kmeans/objective"])
    centroids, labels, errors = cluster(num_iterations)
    results = {
        "kmeans/objective": errors,
        "kmeans/loss": errors[-1],
        "kmeans/assignments": labels,
        "kmeans/counts": np.bincount(labels, minlength=len(centroids)),
    }
    for name in arrays:
        count = int(name.removeprefix(CENTROIDS) if CENTROIDS in name else 0)
        if count:
            results[name], _, _ = cluster(min(count, num_iterations))
    return results


def _gradients(arrays, config):
    model = make_model(arrays, config)
    gradients, _ = take_gradient_step(
        model,
        numbered_batch(arrays, arrays["step/indices"]),
        pairs_of(model),
        shapes_of(under(arrays, "weights/")),
    )
    return named("grad/", gradients)


def _training(arrays, config):
    model = make_model(arrays, config)
    model.compile(
        model.published_optimizer(
            len(arrays["train/indices"]),
            config["batch"],
            learning_rate=config["lr"],
            weight_decay=10.0 ** config["wd"],
        )
    )
    losses = [
        model.train_on_batch(numbered_batch(arrays, indices))[0]
        for indices in arrays["train/indices"]
    ]
    final = in_their_layout(
        pairs_of(model), shapes_of(under(arrays, "weights/"))
    )
    return {"train/losses": np.array(losses)}, named("final/", final)


def _samples(arrays, config):
    labels = arrays["kmeans/assignments"]
    return {
        f"sampler/{length}": samples_judge(labels, length)
        for length in config["epoch_lengths"]
    }
