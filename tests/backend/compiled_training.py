"""What the tests of compiled and of recorded blocks share."""

import keras
import numpy as np
import pytest
from helpers import weights_of

from keras_capi.backend import block_compiler

# Of torch's compiler about itself; they are not shown by default.
COMPILER_WARNINGS = [
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]
DEEP = {"num_layers": 3, "drop_path_rate": 0.5}


def randn(*shape):
    """Normal numbers on the device of the tests."""
    return keras.random.normal(shape)


def compile_tiny_models(monkeypatch):
    """Lets blocks compile in the first step, however few weights they have."""
    monkeypatch.setattr(block_compiler, "MANY_WEIGHTS", 1)
    monkeypatch.setattr(block_compiler, "NUM_EAGER_STEPS", 0)
    monkeypatch.setattr(block_compiler, "_failures", [])
    block_compiler._compile.cache_clear()
    block_compiler._compile_function.cache_clear()


def train(make, *batches):
    """Trains for a step on each batch; returns losses and weights."""
    keras.utils.set_random_seed(0)
    model = make()
    losses = [model.train_on_batch(batch) for batch in batches]
    return losses, weights_of(model)


def train_eagerly(monkeypatch, make, *batches):
    with monkeypatch.context() as patch:
        patch.setattr(block_compiler, "MANY_WEIGHTS", 1e9)
        return train(make, *batches)


def assert_close(found, expected, tolerance=1e-5):
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
