import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.layers.norms.batch_normalization import BatchNormalization

INPUTS = np.random.default_rng(0).normal(5.0, 2.0, (3, 4, 6)).astype("float32")


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}])
def test_equals_keras(options):
    ours = BatchNormalization(0.8, 1e-3, **options)
    theirs = keras.layers.BatchNormalization(-1, 0.8, 1e-3, **options)
    for layer in (ours, theirs):
        layer.build(INPUTS.shape)
        for index, weight in enumerate(layer.trainable_variables, start=1):
            weight.assign(index + np.arange(6) / 6)
    for training in (True, False):
        np.testing.assert_allclose(
            *(to_numpy(x(INPUTS, training=training)) for x in (ours, theirs)),
            rtol=1e-4,
            atol=1e-5,
        )
    for weight, expected in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(
            to_numpy(weight), to_numpy(expected), rtol=1e-5
        )


def test_a_frozen_layer_keeps_its_statistics():
    layer = BatchNormalization(trainable=False)
    layer(INPUTS, training=True)
    np.testing.assert_array_equal(to_numpy(layer.moving_mean), 0.0)


def test_statistics_in_half_precision():
    layer = BatchNormalization(dtype="mixed_float16")
    outputs = layer(300.0 * INPUTS, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    outputs = to_numpy(outputs).astype("float32")
    np.testing.assert_allclose(outputs.std(axis=(0, 1)), 1.0, atol=1e-2)
