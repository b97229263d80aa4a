"""A `keras.RematScope` must not change what layers compute."""

import keras
import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_layer
from helpers import make_images
from helpers import to_numpy
from methods.cases import CASES

from keras_capi import layers

FEATURES = np.random.default_rng(0).normal(size=(4, 3, 8)).astype("float32")
PAIRS = np.tile(np.array([[0, 1], [2, 1]], "int32"), (4, 1, 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Attention(2, attention_dropout_rate=0.5, seed=1),
        lambda: layers.SimCLRHead(4),
        lambda: layers.SwAVHead(6, 4),
        lambda: layers.PairHead((4, 4, 4)),
        lambda: layers.DINOHead(4, 2, 6, 5),
    ],
    ids=["attention", "simclr", "swav", "pairs", "dino"],
)
def test_changes_neither_numbers_nor_state(make):
    results = []
    for mode in (None, "full"):
        keras.utils.set_random_seed(0)
        # Some layers make their parts when they are built.
        with keras.RematScope(mode=mode):
            layer = make()
            inputs = [keras.Input((3, 8))]
            arrays = [FEATURES]
            if isinstance(layer, layers.PairHead):
                inputs.append(keras.Input((2, 2), dtype="int32"))
                arrays.append(PAIRS)
            outputs = layer(*inputs)
        model = keras.Model(inputs, outputs)
        model.compile("sgd", "mse", jit_compile=False)
        targets = np.ones(outputs.shape[1:], "float32")[None].repeat(4, 0)
        losses = [model.train_on_batch(arrays, targets) for _ in range(2)]
        state = [to_numpy(v) for v in layer.non_trainable_variables]
        results.append((losses, *state))
    for plain, again in zip(*results, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-5)


@pytest.mark.parametrize("name", ["aim", "beit", "ijepa"])
def test_methods_train(name):
    """Blocks get Boolean masks, a head and a tokenizer arguments by name."""
    with keras.RematScope("full"):
        model = CASES[name].make()
    model.compile("sgd", jit_compile=False)
    assert np.isfinite(model.train_on_batch(make_images(2))[0])


def test_targets_are_not_computed_again():
    with keras.RematScope("full"):
        targets = layers.DistilledTargets(6, hidden_dim=4, bottleneck_dim=4)
    scores = FEATURES.reshape(16, 6)
    targets.build(scores.shape)
    compile_layer(targets, COMPILATIONS[-1], training=True)(scores)
    once = to_numpy(targets.centering.center)
    np.testing.assert_allclose(once, 0.1 * scores.mean(axis=0), rtol=1e-5)
