"""Gradients, on any backend."""

import keras

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
    model.compile(keras.optimizers.SGD(1.0))
    before = {id(weight): to_numpy(weight) for weight in model.weights}
    logs = model.train_on_batch(batch, return_dict=True)
    gradients = in_their_layout(
        make_pairs,
        shapes,
        lambda weight: before[id(weight)] - to_numpy(weight),
    )
    return gradients, logs
