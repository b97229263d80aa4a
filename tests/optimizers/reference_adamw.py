"""AdamW as torch computes it, in NumPy and float64."""

import numpy as np


def adamw(weight, gradients, rates, decays, betas=(0.9, 0.999), skipped=0):
    """Returns a weight after some updates.

    Args:
        weight: Array.
        gradients: List of arrays.
        rates: List of floats or arrays that broadcast to the weight.
        decays: Likewise.
        betas: Two floats.
        skipped: Integer. Updates at the start that drop the gradient.
    """
    weight, mean, square = weight.astype("float64"), 0.0, 0.0
    updates = list(zip(gradients, rates, decays, strict=True))[skipped:]
    for step, (gradient, rate, decay) in enumerate(updates, start=1):
        gradient = gradient.astype("float64")
        weight = weight * (1 - rate * decay)
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        root = np.sqrt(square / (1 - betas[1] ** step))
        weight = weight - rate * mean / (1 - betas[0] ** step) / (root + 1e-8)
    return weight


def clip(gradients, clip_norm):
    """Clips gradients by their common norm."""
    norm = np.sqrt(sum(np.sum(np.square(x)) for x in gradients))
    return [x * min(1.0, clip_norm / (norm + 1e-6)) for x in gradients]
