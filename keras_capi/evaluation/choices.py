"""Health metrics of choices among prototypes or colours, and of centers."""

import math

import numpy as np
from keras import ops

from keras_capi.evaluation.clustering_health import entropy as entropy_of
from keras_capi.evaluation.healthy_ranges import share_of_most
from keras_capi.ops.losses.cross_entropy import entropy

CENTERINGS = ("centering", "patch_centering")


def choice_shares(batches):
    """Measures whether the choices of a model depend on the image.

    A model that spreads each image over all prototypes, or makes the same
    choice for all images, says nothing about an image; nor does one that
    colours all images alike.

    Args:
        batches: Iterable of float tensors of shape `(..., choices)`, which sum
            to 1 over the last axis: the probabilities of the choices of an
            image or position.

    Returns:
        Dictionary of floats:
        - `"used_choices"`: perplexity of the most likely choices: an effective
          number of choices.
        - `"choice_information_share"`: mutual information of sample and choice,
          as a share of its maximum. 1 if every choice is certain and all are
          equally frequent; 0 if all samples have the same probabilities.
    """
    sums = counts = uncertainty = 0.0
    for probabilities in batches:
        num_choices = probabilities.shape[-1]
        rows = ops.reshape(probabilities, (-1, num_choices))
        rows = ops.cast(rows, "float32")
        best = ops.convert_to_numpy(ops.argmax(rows, axis=-1))
        sums = sums + ops.convert_to_numpy(ops.sum(rows, axis=0))
        counts = counts + np.bincount(best, minlength=num_choices)
        uncertainty += len(best) * float(ops.convert_to_numpy(entropy(rows)))
    num_samples = counts.sum()
    most = min(num_samples, len(counts))
    information = entropy_of(sums) - uncertainty / num_samples
    return {
        "used_choices": math.exp(entropy_of(counts)),
        "choice_information_share": share_of_most(information, most),
    }


def list_centers(model):
    """Returns the centers of a model's scores, for images and patches.

    Args:
        model: A model of `keras_capi.methods`.

    Returns:
        List of float arrays; empty if the model has none.
    """
    layers = [getattr(model, name, None) for name in CENTERINGS]
    return [
        ops.convert_to_numpy(layer.center)
        for layer in layers
        if hasattr(layer, "center")
    ]


def center_drift(before, after):
    """Measures how far the centers of scores have moved.

    Args:
        before: List of float arrays, the centers as they were.
        after: List of float arrays of the same shapes.

    Returns:
        Float: the largest distance, as a share of the center's current norm. 0
        if it has not moved, 1 if it was 0 before.
    """
    return max(
        float(np.linalg.norm(new - old) / max(np.linalg.norm(new), 1e-12))
        for old, new in zip(before, after, strict=True)
    )
