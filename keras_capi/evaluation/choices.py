"""What can be told of choices, among prototypes or colours, and of centers."""

import math

import numpy as np
from keras import ops

from keras_capi.evaluation.clustering_health import entropy as entropy_of
from keras_capi.evaluation.healthy_ranges import share_of_most
from keras_capi.ops.losses.cross_entropy import entropy

CENTERINGS = ("centering", "patch_centering")


def choice_shares(batches):
    """Measures whether choices depend on what is looked at.

    A model that shares each image out to all prototypes, and one that has the
    same for all images, tell nothing of an image by their choice; nor does one
    that colours all images alike.

    Args:
        batches: Iterable of float tensors of shape `(..., choices)`, which sum
            to 1: the probabilities of an image's choices, or of a place's.

    Returns:
        Dictionary of floats:
        - `"used_choices"`: perplexity of the likeliest choices, a number.
        - `"choice_information_share"`: mutual information of sample and choice,
          as a share of the most there can be: 1 if each choice is certain, and
          all are made equally often; 0 if all samples have the same
          probabilities.
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
    """Returns the centers of a model's scores, of images and of patches.

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
    """Measures how far centers of scores have moved.

    Args:
        before: List of float arrays, the centers as they were.
        after: List of float arrays of the same shapes.

    Returns:
        Float: the largest distance, as a share of the norm of what it is now
        (0 if it has not moved, 1 if it was 0).
    """
    return max(
        float(np.linalg.norm(new - old) / max(np.linalg.norm(new), 1e-12))
        for old, new in zip(before, after, strict=True)
    )
