import inspect

import numpy as np
import pytest
from backend_helpers import assert_no_gradient
from backend_helpers import layer_gradients
from helpers import to_numpy
from keras import ops
from layers import battery
from ops.numpy_sinkhorn import sinkhorn

import keras_capi
from keras_capi.layers import OnlineClustering

FEATURES = np.random.default_rng(0).normal(size=(6, 4, 8)).astype("float32")
OUTPUTS = (
    battery.Output((6, 4, 5), "float32"),
    battery.Output((), "float32", has_batch=False),
)

CASES = {
    "positionwise": battery.Case(
        OnlineClustering,
        {"num_clusters": 5},
        (FEATURES,),
        OUTPUTS,
        trainable={"cluster_kernel": (8, 5), "cluster_bias": (5,)},
        symbolic_shapes=((None, 8),),
        # Scores of both signs up to 50: exponentials tell roundings apart.
        tolerance=0.3,
    ),
    "standard": battery.Case(
        OnlineClustering,
        {
            "num_clusters": 5,
            "target_temperature": 0.2,
            "prediction_temperature": 0.3,
            "num_iterations": 2,
            "positionwise": False,
            "use_bias": False,
        },
        (FEATURES,),
        OUTPUTS,
        trainable={"cluster_kernel": (8, 5)},
        tolerance=0.1,
    ),
    "queue": battery.Case(
        OnlineClustering,
        {"num_clusters": 5, "queue_size": 4, "chunk_size": 2},
        (FEATURES,),
        OUTPUTS,
        trainable={"cluster_kernel": (8, 5), "cluster_bias": (5,)},
        non_trainable={"queue/features": (4, 4, 8), "queue/num_filled": ()},
        tolerance=0.3,
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def make_clustering(**arguments):
    layer = OnlineClustering(5, **arguments)
    layer.build((None, None, 8))
    if layer.use_bias:
        bias = np.random.default_rng(1).normal(size=5, scale=0.2)
        layer.bias.assign(bias.astype("float32"))
    return layer


def expected_outputs(layer, features):
    """Assignments and loss in float64."""
    features = features.astype("float64")
    norms = np.linalg.norm(features, axis=-1, keepdims=True)
    logits = features / np.maximum(norms, 1e-7) @ to_numpy(layer.kernel)
    if layer.use_bias:
        logits = logits + to_numpy(layer.bias)
    scores = logits / layer.target_temperature
    iterations = layer.num_iterations
    if layer.positionwise:
        assignments = np.stack(
            [
                sinkhorn(scores[:, position], iterations)
                for position in range(scores.shape[1])
            ],
            axis=1,
        )
    else:
        flat = scores.reshape(-1, scores.shape[-1])
        assignments = sinkhorn(flat, iterations).reshape(scores.shape)
    predicted = logits / layer.prediction_temperature
    predicted = predicted - predicted.max(axis=-1, keepdims=True)
    totals = np.exp(predicted).sum(axis=-1, keepdims=True)
    predicted = predicted - np.log(totals)
    return assignments, -np.mean(np.sum(assignments * predicted, axis=-1))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"positionwise": False},
        {"use_bias": False},
        {"num_iterations": 1},
        {"target_temperature": 0.5, "prediction_temperature": 2.0},
    ],
)
def test_equals_numpy(arguments):
    layer = make_clustering(**arguments)
    assignments, loss = layer(FEATURES)
    expected = expected_outputs(layer, FEATURES)
    np.testing.assert_allclose(to_numpy(assignments), expected[0], atol=1e-4)
    np.testing.assert_allclose(to_numpy(loss), expected[1], rtol=1e-4)


def make_reference_clustering(reference):
    layer = OnlineClustering(64)
    layer.build((None, None, 48))
    layer.kernel.assign(reference["weights/teacher_head.layer.weight"].T)
    layer.bias.assign(reference["weights/teacher_head.layer.bias"])
    return layer


def test_equals_the_published_clustering(reference):
    layer = make_reference_clustering(reference)
    assignments, loss = layer(reference["teacher/patches"])
    np.testing.assert_allclose(
        to_numpy(assignments), reference["teacher/assignments"], atol=1e-5
    )
    np.testing.assert_allclose(
        to_numpy(loss), reference["teacher/clustering_loss"], rtol=1e-6
    )


def test_gradient_is_the_published_one_and_reaches_only_the_layer(reference):
    layer = make_reference_clustering(reference)
    (features,), gradients = layer_gradients(
        layer, lambda outputs: outputs[1], reference["teacher/patches"]
    )
    assert_no_gradient(features)
    prefix = "grad/teacher_head.layer."
    np.testing.assert_allclose(
        gradients["cluster_kernel"], reference[prefix + "weight"].T, atol=1e-6
    )
    np.testing.assert_allclose(
        gradients["cluster_bias"], reference[prefix + "bias"], atol=1e-6
    )


@pytest.mark.parametrize("positionwise", [True, False])
def test_assignments_have_no_gradient(positionwise):
    layer = make_clustering(positionwise=positionwise)
    # With a part of the loss, for torch wants some path.
    (features,), gradients = layer_gradients(
        layer,
        lambda outputs: ops.sum(ops.square(outputs[0])) + 0.0 * outputs[1],
        FEATURES,
    )
    assert_no_gradient(features)
    for gradient in gradients.values():
        assert_no_gradient(gradient)


INDICES = np.array([[3, 1], [0, 2], [2, 2], [1, 3], [3, 0], [0, 1]], "int32")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("chunk_size", [None, 1, 3, 4, 9])
def test_chunks_change_nothing(chunk_size, use_bias):
    whole = make_clustering(use_bias=use_bias)
    chunked = make_clustering(use_bias=use_bias, chunk_size=chunk_size)
    chunked.kernel.assign(whole.kernel)
    assignments, loss = whole(FEATURES)
    targets, chunked_loss = chunked(FEATURES, INDICES)
    rows = np.arange(len(INDICES))[:, None]
    np.testing.assert_allclose(
        to_numpy(targets), to_numpy(assignments)[rows, INDICES], atol=1e-6
    )
    np.testing.assert_allclose(
        to_numpy(chunked_loss), to_numpy(loss), rtol=1e-6
    )
    # Scaled, as losses are in half precision.
    _, expected = layer_gradients(
        whole, lambda outputs: 8.0 * outputs[1], FEATURES
    )
    (features,), gradients = layer_gradients(
        chunked,
        lambda outputs: 8.0 * outputs[1],
        FEATURES,
        predict_indices=INDICES,
    )
    assert_no_gradient(features)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-5)


@pytest.mark.parametrize(
    ("numbers_per_chunk", "num_positions"),
    # Of 6 images x 4 positions x 5 clusters.
    [(2**21, 4), (120, 4), (60, 2), (30, 1), (1, 1)],
)
def test_many_scores_are_computed_in_chunks(
    numbers_per_chunk, num_positions, monkeypatch
):
    def chunk_shapes(layer):
        shapes = []

        def record(scores, **settings):
            shapes.append(scores.shape)
            return balance(scores, **settings)

        balance = layer._balance
        monkeypatch.setattr(layer, "_balance", record)
        layer(FEATURES, INDICES)
        # JAX traces a loop's body once, or twice.
        return set(shapes)

    module = inspect.getmodule(keras_capi.ops.choose_chunk_size)
    monkeypatch.setattr(module, "NUMBERS_PER_CHUNK", numbers_per_chunk)
    assert chunk_shapes(make_clustering()) == {(6, num_positions, 5)}
    # Balanced together.
    assert chunk_shapes(make_clustering(positionwise=False)) == {(6, 4, 5)}
    # What is said counts.
    assert chunk_shapes(make_clustering(chunk_size=2)) == {(6, 2, 5)}


@pytest.mark.parametrize(
    "arguments", [{}, {"positionwise": False}, {"chunk_size": 3}]
)
def test_queue_is_balanced_with_the_batch(arguments):
    batches = np.random.default_rng(2).normal(size=(3, 6, 4, 8))
    batches = batches.astype("float32")
    layer = OnlineClustering(5, queue_size=9, **arguments)
    layer.build((None, 4, 8))
    indices = np.tile(np.arange(4, dtype="int32"), (6, 1))
    for step, batch in enumerate(batches):
        # A look without training leaves the queue alone.
        layer(batch)
        assignments, loss = layer(batch, indices, training=True)
        # The newest first, nine images at most.
        earlier = [*batches[:step]][::-1]
        together = np.concatenate([batch, *earlier])[: 6 + 9]
        expected, _ = expected_outputs(layer, together)
        np.testing.assert_allclose(
            to_numpy(assignments), expected[:6], atol=1e-4
        )
        logits = to_numpy(layer.logits(batch)) / layer.prediction_temperature
        log_probabilities = to_numpy(ops.log_softmax(logits))
        np.testing.assert_allclose(
            to_numpy(loss),
            -np.mean(np.sum(expected[:6] * log_probabilities, axis=-1)),
            rtol=1e-4,
        )


def test_balances_each_position_over_the_batch():
    # Features that tell the position only.
    features = np.repeat(FEATURES[:1], 6, axis=0)
    arguments = {"num_iterations": 30, "target_temperature": 0.5}
    assignments, _ = make_clustering(**arguments)(features)
    # All samples look the same, so each cluster gets the same of each.
    np.testing.assert_allclose(to_numpy(assignments), 1 / 5, atol=1e-4)
    layer = make_clustering(positionwise=False, **arguments)
    assignments = to_numpy(layer(features)[0])
    # Balanced in total, but clusters stand for positions.
    np.testing.assert_allclose(assignments.mean(axis=(0, 1)), 1 / 5, atol=0.01)
    assert assignments.max() > 0.4


def test_zero_features_are_finite():
    layer = make_clustering()
    (_,), gradients = layer_gradients(
        layer, lambda outputs: outputs[1], 0.0 * FEATURES
    )
    assert all(np.isfinite(g).all() for g in gradients.values())


def test_initial_weights():
    layer = OnlineClustering(128)
    layer.build((None, None, 64))
    kernel = to_numpy(layer.kernel)
    assert 0.97 < kernel.std() < 1.03 and np.abs(kernel).max() > 3
    np.testing.assert_array_equal(to_numpy(layer.bias), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_clusters": 0}, "`num_clusters` must be a positive.*clusters=0"),
        ({"num_iterations": 0}, "`num_iterations` must be a pos.*iterations=0"),
        (
            {"target_temperature": 0.0},
            "`target_temperature` must be a positive.*target_temperature=0.0",
        ),
        (
            {"prediction_temperature": -1},
            "`prediction_temperature` must be a positive.*temperature=-1",
        ),
        ({"chunk_size": 0}, "`chunk_size` must be a positive.*chunk_size=0"),
        (
            {"chunk_size": 2, "positionwise": False},
            "`chunk_size` needs `positionwise`.*chunk_size=2, positionwise=F",
        ),
        ({"queue_size": -1}, "`queue_size` must be 0 or.*queue_size=-1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        OnlineClustering(**arguments)
