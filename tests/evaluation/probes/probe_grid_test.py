import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.evaluation.probes.attention_pooling_grid import (
    AttentionPoolingGrid,
)
from keras_capi.evaluation.probes.probe_grid import ProbeGrid
from keras_capi.layers import AttentionPooling


@pytest.mark.parametrize("width", [12, 200])  # of one head, of four
def test_pooling_equals_the_layer_of_one_probe(width):
    tokens = make_images(3, 5, width, 1)[..., 0]
    grid = AttentionPoolingGrid(2, "glorot_uniform")
    grid.build(tokens.shape)
    generator = np.random.default_rng(0)
    for weight in grid.weights:
        weight.assign(generator.normal(size=weight.shape))
    pooled = to_numpy(grid(tokens))
    assert pooled.shape == (3, 2, width)
    for index in range(2):
        layer = AttentionPooling()
        layer.build(tokens.shape)
        layer.query.assign(to_numpy(grid.query)[index].ravel())
        layer.key_value.kernel.assign(
            np.concatenate(
                [
                    to_numpy(part)[index].reshape(width, width)
                    for part in (grid.key, grid.value)
                ],
                axis=-1,
            )
        )
        # The bias of the keys makes no difference: the grid has none.
        key_bias = generator.normal(size=width)
        value_bias = to_numpy(grid.value_bias)[index].ravel()
        layer.key_value.bias.assign(np.concatenate([key_bias, value_bias]))
        expected = to_numpy(layer(tokens))
        np.testing.assert_allclose(
            pooled[:, index], expected, rtol=1e-4, atol=1e-4
        )


def test_initial_weights():
    shapes = {"global": (400,), "patches": (4, 64)}
    model = ProbeGrid(shapes, num_classes=10, num_probes=3, seed=0)
    for weight in model.trainable_weights:
        values = to_numpy(weight)
        assert len(values) == 3
        if weight.name.endswith("bias"):
            assert not values.any()
            continue
        # The same for all probes, and not cut off at two deviations.
        np.testing.assert_array_equal(values, values[:1].repeat(3, axis=0))
        if values[0].size > 1000:
            assert np.abs(values).max() > 0.05
            assert values[0].std() == pytest.approx(0.02, rel=0.05)
    pooling = model.probes["patches"][0]
    assert (to_numpy(pooling.key) != to_numpy(pooling.value)).any()


def test_loss_is_the_sum_of_means():
    model = ProbeGrid({"a": (3,), "b": (3,)}, 4, 2, seed=0)
    generator = np.random.default_rng(0)
    logits = {
        name: generator.normal(size=(5, 2, 4)).astype("float32")
        for name in ("a", "b")
    }
    labels = np.array([0, 3, 1, 2, 3], "int32")
    expected = 0.0
    for values in logits.values():
        exponentials = np.exp(values)
        shares = exponentials / exponentials.sum(axis=-1, keepdims=True)
        right = shares[np.arange(5), :, labels]
        expected -= np.log(right).mean(axis=0).sum()
    loss = model.compute_loss(
        None,
        keras.ops.convert_to_tensor(labels),
        {name: keras.ops.convert_to_tensor(x) for name, x in logits.items()},
    )
    assert float(to_numpy(loss)) == pytest.approx(expected, rel=1e-5)


def test_predicted_classes():
    model = ProbeGrid({"a": (4,)}, num_classes=4, num_probes=2, seed=0)
    kernel = np.stack([np.eye(4), np.eye(4)[::-1]])
    model.probes["a"][0].kernel.assign(kernel)
    features = np.eye(4)[[0, 1, 2, 3, 0, 1, 2]]
    indices = np.array([6, 0, 5, 3, 1])
    classes = model.predict_classes({"a": features}, indices, batch_size=2)
    expected = [[2, 0, 1, 3, 1], [1, 3, 2, 0, 2]]
    np.testing.assert_array_equal(classes["a"], expected)


def test_probes_are_float32():
    # Which float16 would round to 1.
    features = {"a": np.full((1, 4), 1.0001), "b": np.full((1, 2, 4), 1.0001)}
    shapes = {"a": (4,), "b": (2, 4)}
    expected = ProbeGrid(shapes, 4, 2, seed=0)(features)
    keras.config.set_dtype_policy("mixed_float16")
    logits = ProbeGrid(shapes, 4, 2, seed=0)(features)
    for name, values in logits.items():
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
        np.testing.assert_allclose(
            to_numpy(values), to_numpy(expected[name]), rtol=1e-6
        )
