"""Attention with rotary positions in plain NumPy and float64."""

import numpy as np
from helpers import to_numpy


def rotate(x, coordinates, frequencies):
    """Turns channels of `(batch, tokens, heads, size)` by their positions."""
    angles = (coordinates.astype("float64") @ frequencies)[:, :, None]
    half = x.shape[-1] // 2
    rotated = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    return x * np.cos(angles) + rotated * np.sin(angles)


def attend(query, key, value, coordinates, other_coordinates, frequencies):
    """Attends; queries and keys are not turned yet."""
    query = rotate(query, coordinates, frequencies)
    key = rotate(key, other_coordinates, frequencies)
    scores = np.einsum("bqhd,bkhd->bhqk", query, key)
    scores = np.exp(scores / np.sqrt(query.shape[-1]))
    scores /= scores.sum(axis=-1, keepdims=True)
    attended = np.einsum("bhqk,bkhd->bqhd", scores, value)
    return attended.reshape(*attended.shape[:2], -1)


def run_layer(layer, inputs, coordinates, context=None, positions=None):
    """What a built `RotaryAttention` should return."""

    def project(x, dense):
        projected = x.astype("float64") @ to_numpy(dense.kernel)
        return projected.reshape(*x.shape[:2], -1, layer.head_dim)

    heads = layer.num_heads
    if context is None:
        positions = coordinates
        parts = project(inputs, layer.query_key_value)
        query, key, value = np.split(parts, [heads, 2 * heads], axis=2)
    else:
        query = project(inputs, layer.query)
        key, value = np.split(project(context, layer.key_value), 2, axis=2)
    frequencies = to_numpy(layer.rotary_frequencies).astype("float64")
    attended = attend(query, key, value, coordinates, positions, frequencies)
    return attended @ to_numpy(layer.output_projection.kernel)
