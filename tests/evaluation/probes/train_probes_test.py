import itertools

import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.evaluation.probes.probe_grid import ProbeGrid
from keras_capi.evaluation.probes.shuffled_batches import ShuffledBatches
from keras_capi.evaluation.probes.train_probes import train_probes

RATES, DECAYS = (0.01, 0.1), (0.0, 0.5, 0.05)
STEPS, BATCH_SIZE, CLASSES, SEED = 40, 8, 3, 5
INDICES = np.arange(3, 27)


def make_data(*shape):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(30, *shape)).astype("float32")
    return features, generator.integers(0, CLASSES, 30)


def train(features, labels, rates, decays):
    return train_probes(
        features,
        labels,
        INDICES,
        CLASSES,
        rates,
        decays,
        num_steps=STEPS,
        batch_size=BATCH_SIZE,
        seed=SEED,
        verbose=0,
    )


def numpy_probe(batches, kernel, rate, decay):
    """Softmax regression under AdamW with the published schedule."""
    warmup = STEPS // 10
    angles = np.linspace(0, np.pi, STEPS - warmup)
    schedule = [*np.linspace(0, 1, warmup), *(np.cos(angles) + 1) / 2]
    weights = [kernel.astype("float64"), np.zeros(CLASSES)]
    moments = [[0.0, 0.0], [0.0, 0.0]]
    for step, ((x, y), factor) in enumerate(
        zip(batches, schedule, strict=True), start=1
    ):
        logits = x @ weights[0] + weights[1]
        logits -= logits.max(axis=-1, keepdims=True)
        error = np.exp(logits)
        error /= error.sum(axis=-1, keepdims=True)
        error -= np.eye(CLASSES)[y]
        gradients = [x.T @ error / len(x), error.mean(axis=0)]
        step_rate = rate * factor * BATCH_SIZE / 256
        weights[0] = weights[0] * (1 - step_rate * decay)
        for index, gradient in enumerate(gradients):
            mean, square = moments[index]
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.95 * square + 0.05 * gradient**2
            moments[index] = [mean, square]
            mean = mean / (1 - 0.9**step)
            root = np.sqrt(square / (1 - 0.95**step))
            # That of a mean over the authors' 120 probes.
            update = (mean / 120) / (root / 120 + 1e-8)
            weights[index] = weights[index] - step_rate * update
    return weights


@pytest.mark.parametrize("scale", [1.0, 1e-6])  # which gradients follow
def test_linear_grid_equals_each_probe_alone(scale):
    features, labels = make_data(6)
    features *= scale
    rates = (0.3, 3.0)  # so that the decay shows after a few steps
    model = train({"global": features}, labels, rates, DECAYS)
    (probes,) = model.probes["global"]
    (initial,) = ProbeGrid({"global": (6,)}, CLASSES, 1, SEED).probes["global"]
    data = ShuffledBatches(
        {"x": features}, labels, INDICES, BATCH_SIZE, STEPS, SEED
    )
    batches = [(data[step][0]["x"], data[step][1]) for step in range(STEPS)]
    for index, pair in enumerate(itertools.product(rates, DECAYS)):
        kernel, bias = numpy_probe(batches, to_numpy(initial.kernel)[0], *pair)
        np.testing.assert_allclose(
            to_numpy(probes.kernel)[index], kernel, atol=1e-4
        )
        np.testing.assert_allclose(
            to_numpy(probes.bias)[index], bias, atol=1e-4
        )


def test_attentive_grid_equals_each_probe_alone():
    features, labels = make_data(4, 6)
    # The other feature must not matter either.
    other = {"patches": features, "global": features[:, 0]}
    together = train(other, labels, RATES, DECAYS[:2])
    for index, (rate, decay) in enumerate(itertools.product(RATES, DECAYS[:2])):
        alone = train({"patches": features}, labels, (rate,), (decay,))
        for grid_layer, layer in zip(
            together.probes["patches"], alone.probes["patches"], strict=True
        ):
            for grid_weight, weight in zip(
                grid_layer.weights, layer.weights, strict=True
            ):
                np.testing.assert_allclose(
                    to_numpy(grid_weight)[index],
                    to_numpy(weight)[0],
                    atol=1e-4,
                    err_msg=weight.path,
                )


@pytest.mark.parametrize("shape", [(6,), (4, 6)])
def test_all_weights_are_trained(shape):
    features, labels = make_data(*shape)
    model = train({"x": features}, labels, (0.1,), (0.0,))
    initial = ProbeGrid({"x": shape}, CLASSES, 1, SEED)
    for after, before in zip(
        model.trainable_weights, initial.trainable_weights, strict=True
    ):
        assert (to_numpy(after) != to_numpy(before)).all(), after.path
