"""Attention, the same in parts and all at once."""

import keras
import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from backend_helpers import gradients
from helpers import to_numpy
from keras import ops

from keras_capi import backend
from keras_capi.backend import attention

on_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="JAX alone attends in parts"
)


def make_arrays(num_images=5, num_queries=6, num_keys=7, num_biases=1):
    """Queries, keys and values of 2 heads, and a bias of the scores."""
    normal = np.random.default_rng(0).normal
    shapes = (
        (num_images, num_queries, 2, 4),
        (num_images, num_keys, 2, 4),
        (num_images, num_keys, 2, 4),
        (num_biases, 2, num_queries, num_keys),
    )
    return [normal(size=shape).astype("float32") for shape in shapes]


def expected_attention(query, key, value, bias):
    scores = np.einsum("bqhd,bkhd->bhqk", query, key) / 2 + bias
    weights = np.exp(scores)
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", weights, value)


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize("num_biases", [1, 5])
@pytest.mark.parametrize("in_parts", [False, pytest.param(True, marks=on_jax)])
def test_attention(monkeypatch, in_parts, num_biases, compilation):
    if in_parts:
        # Two images at a time, so the last part is smaller.
        monkeypatch.setattr(attention, "MANY_SCORES", 1)
        monkeypatch.setattr(attention, "SCORES_AT_A_TIME", 2 * 2 * 6 * 7)
    arrays = make_arrays(num_biases=num_biases)
    attend = compile_function(backend.dot_product_attention, compilation)
    np.testing.assert_allclose(
        to_numpy(attend(*arrays)), expected_attention(*arrays), atol=1e-5
    )


@on_jax
def test_gradients_in_parts(monkeypatch):
    def loss(*arrays):
        return ops.sum(ops.square(backend.dot_product_attention(*arrays)))

    arrays = make_arrays()
    at_once = gradients(loss, *arrays)
    monkeypatch.setattr(attention, "MANY_SCORES", 1)
    monkeypatch.setattr(attention, "SCORES_AT_A_TIME", 1)
    for part, whole in zip(gradients(loss, *arrays), at_once, strict=True):
        np.testing.assert_allclose(to_numpy(part), to_numpy(whole), atol=1e-5)


@on_jax
def test_many_scores_are_not_written_at_once():
    """Without parts the scores of all images would be a tensor of the step."""
    import jax

    shape = (64, 256, 2, 4)
    arrays = [jax.ShapeDtypeStruct(shape, "float32")] * 3
    attend = jax.jit(backend.dot_product_attention)
    compiled = attend.lower(*arrays).compile()
    scores = 4 * 64 * 2 * 256**2
    assert compiled.memory_analysis().temp_size_in_bytes < scores / 2


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_large_scores_do_not_overflow(dtype):
    # The products are above 65,504, the largest number in float16.
    large = ops.cast(np.full((1, 3, 1, 64), 40.0), dtype)
    attended = backend.dot_product_attention(large, large, large)
    attended = to_numpy(ops.cast(attended, "float32"))
    np.testing.assert_array_equal(attended, 40.0)
