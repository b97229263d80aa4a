import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from helpers import to_numpy
from keras import ops

from keras_capi import backend
from keras_capi.ops import choose_chunk_size
from keras_capi.ops import slice_tokens
from keras_capi.ops import sum_over_chunks

TOKENS = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 4, 7, 9])
def test_the_parts_sum_up(chunk_size, compilation):
    def compute(tokens):
        def square(start, size):
            part = slice_tokens(tokens, start, size)
            return ops.sum(part**2), ops.sum(part, axis=1)

        shapes = ((), (ops.shape(tokens)[0], 4))
        return sum_over_chunks(square, 7, chunk_size, shapes)

    run = compile_function(compute, compilation, unknown_batch=True)
    squares, sums = run(TOKENS)
    np.testing.assert_allclose(to_numpy(squares), (TOKENS**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(to_numpy(sums), TOKENS.sum(axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("length", "numbers_per_item", "expected"),
    [
        (196, 64, 196),
        (196, 16 * 1024, 66),
        (196, 16 * 4096, 17),
        # Chunks, 24 at most.
        (196, 64 * 16384, 9),
        (5, 2**40, 1),
    ],
)
def test_chunk_size_follows_the_size_of_the_tensors(
    length, numbers_per_item, expected
):
    assert choose_chunk_size(length, numbers_per_item) == expected


def test_accelerators_take_larger_chunks(monkeypatch):
    monkeypatch.setattr(backend, "has_accelerator", lambda: True)
    assert choose_chunk_size(196, 16 * 4096) == 196
    assert choose_chunk_size(256, 64 * 16384) == 64
    assert choose_chunk_size(5, 2**40) == 1
