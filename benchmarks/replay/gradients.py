"""Gradients, on any backend."""

import keras
import numpy as np

from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import to_numpy


def take_gradient_step(model, batch, make_pairs, shapes):
    """Trains on one batch: with a rate of 1, weights move by the gradient.

    Args:
        model: Method of this package, with loaded weights.
        batch: What it is trained on.
        make_pairs: See `in_their_layout`.
        shapes: Likewise.

    Returns:
        Dictionary from the authors' name to gradient, and the logs.
    """
    # To trace a step that runs once takes TensorFlow longer than the step.
    run_eagerly = keras.backend.backend() == "tensorflow"
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=run_eagerly)
    before = {id(weight): to_numpy(weight) for weight in model.weights}
    logs = model.train_on_batch(batch, return_dict=True)
    gradients = in_their_layout(
        make_pairs,
        shapes,
        lambda weight: before[id(weight)] - to_numpy(weight),
    )
    return gradients, logs


def gradient_norm(model, batch):
    """Trains on one batch, and returns the norm of all gradients together.

    Args:
        model: Method of this package, compiled with a plain rate of 1.
        batch: What it is trained on.
    """
    before = [to_numpy(weight) for weight in model.trainable_variables]
    model.train_on_batch(batch)
    squares = [
        np.square(old - to_numpy(weight), dtype="float64").sum()
        for old, weight in zip(before, model.trainable_variables, strict=True)
    ]
    return np.sqrt(sum(squares))
