import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import patch_cross_entropy

GENERATOR = np.random.default_rng(0)


def test_mean_over_hidden_patches_then_over_images():
    targets = GENERATOR.dirichlet(np.ones(4), size=(3, 2, 5)).astype("float32")
    logits = GENERATOR.normal(size=targets.shape).astype("float32")
    mask = GENERATOR.random((3, 2, 5)) < 0.5
    # One view without a hidden patch, which counts all the same.
    mask[0, 1] = False
    scaled = logits / 0.1
    log_p = scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    errors = -(targets * log_p).sum(axis=-1)
    means = [
        error[hidden].mean() if hidden.any() else 0.0
        for error, hidden in zip(
            errors.reshape(6, 5), mask.reshape(6, 5), strict=True
        )
    ]
    loss = to_numpy(patch_cross_entropy(targets, logits, mask, 0.1))
    assert loss.dtype == "float32"
    assert loss == pytest.approx(np.mean(means), rel=1e-5)
