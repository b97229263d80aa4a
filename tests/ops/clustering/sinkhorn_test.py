import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from helpers import to_numpy
from keras import ops
from ops.numpy_sinkhorn import sinkhorn

from keras_capi.ops import sinkhorn_knopp

LOGITS = np.random.default_rng(0).normal(scale=4, size=(3, 7, 5))
LOGITS = LOGITS.astype("float32")


@pytest.mark.parametrize("num_iterations", [1, 3, 10])
@pytest.mark.parametrize("epsilon", [1e-8, 0.3])
def test_equals_numpy(num_iterations, epsilon):
    outputs = to_numpy(sinkhorn_knopp(LOGITS, num_iterations, epsilon))
    expected = [sinkhorn(x, num_iterations, epsilon) for x in LOGITS]
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_default_arguments():
    np.testing.assert_allclose(
        to_numpy(sinkhorn_knopp(LOGITS)),
        [sinkhorn(x) for x in LOGITS],
        atol=1e-5,
    )


def test_equals_the_published_assignments(reference):
    features = reference["teacher/patches"].astype("float64")
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    logits = features @ reference["weights/teacher_head.layer.weight"].T
    logits += reference["weights/teacher_head.layer.bias"]
    logits = (logits / 0.06).astype("float32")
    expected = reference["teacher/assignments"]
    outputs = sinkhorn_knopp(logits, sample_axis=0)
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=2e-5)
    # The same, as the paper writes it: position by position.
    outputs = sinkhorn_knopp(logits.swapaxes(0, 1))
    np.testing.assert_allclose(
        to_numpy(outputs).swapaxes(0, 1), expected, atol=2e-5
    )
    # The NumPy version itself is right.
    for position in (0, 63):
        np.testing.assert_allclose(
            sinkhorn(logits[:, position]), expected[:, position], atol=2e-5
        )


@pytest.mark.parametrize("sample_axis", [0, 1, -2, -3])
def test_sample_axis(sample_axis):
    outputs = to_numpy(sinkhorn_knopp(LOGITS, sample_axis=sample_axis))
    moved = np.moveaxis(LOGITS, sample_axis, -2)
    expected = np.stack([sinkhorn(x) for x in moved])
    expected = np.moveaxis(expected, -2, sample_axis)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_balances():
    outputs = to_numpy(sinkhorn_knopp(LOGITS, 200))
    np.testing.assert_allclose(outputs.sum(axis=-1), 1, atol=1e-5)
    # Seven samples share five clusters equally.
    np.testing.assert_allclose(outputs.sum(axis=-2), 7 / 5, atol=1e-3)
    # The last division is over the clusters, whatever the number.
    outputs = to_numpy(sinkhorn_knopp(LOGITS, 1))
    np.testing.assert_allclose(outputs.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("offset", [-3e4, 0.0, 3e4])
def test_extreme_logits_stay_finite(offset):
    logits = 100 * LOGITS[0] + offset
    outputs = to_numpy(sinkhorn_knopp(logits.astype("float32")))
    assert np.isfinite(outputs).all()
    assert outputs.min() >= 0 and outputs.max() <= 1 + 1e-6


@pytest.mark.parametrize("epsilon", [1e-8, 1e-30])
def test_one_iteration_is_as_published(epsilon):
    """Samples with little in any cluster sum to less than 1."""
    logits = np.random.default_rng(1).normal(size=(64, 16), scale=16)
    expected = sinkhorn(logits, 1, epsilon)
    has_small = expected.sum(axis=-1).min() < 0.5
    assert has_small == (epsilon == 1e-8)
    outputs = sinkhorn_knopp(logits.astype("float32"), 1, epsilon)
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=1e-5)


@pytest.mark.parametrize("num_iterations", [3, 20])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("shape", [(7, 5), (64, 16), (16, 256)])
def test_large_logits_give_every_sample_an_assignment(
    scale, shape, num_iterations
):
    logits = np.random.default_rng(1).normal(size=shape) * scale
    outputs = to_numpy(sinkhorn_knopp(logits.astype("float32"), num_iterations))
    np.testing.assert_allclose(outputs.sum(axis=-1), 1, atol=1e-5)
    assert outputs.min() >= 0


def test_a_sample_far_below_the_others():
    """It does not count in the balance, but gets what it likes."""
    logits = LOGITS[0].copy()
    logits[2] -= 1e4
    outputs = to_numpy(sinkhorn_knopp(logits))
    others = np.delete(logits, 2, axis=0)
    expected = to_numpy(sinkhorn_knopp(others))
    np.testing.assert_allclose(
        np.delete(outputs, 2, axis=0), expected, atol=1e-6
    )
    # Like the sample itself among the others, had it no weight there.
    ratio = np.log(expected[0]) - others[0]
    scores = np.exp(logits[2] + ratio - (logits[2] + ratio).max())
    np.testing.assert_allclose(outputs[2], scores / scores.sum(), atol=2e-3)


def test_a_cluster_without_any_score():
    logits = LOGITS.copy()
    logits[..., 3] = -np.inf
    outputs = to_numpy(sinkhorn_knopp(logits))
    others = to_numpy(sinkhorn_knopp(np.delete(logits, 3, axis=-1)))
    assert (outputs[..., 3] == 0).all()
    np.testing.assert_allclose(
        np.delete(outputs, 3, axis=-1), others, atol=1e-6
    )


def test_the_input_is_left_as_it_was():
    logits = ops.convert_to_tensor(LOGITS)
    sinkhorn_knopp(logits)
    np.testing.assert_array_equal(to_numpy(logits), LOGITS)


def test_room_for_a_large_batch():
    # Sums of exp(50) over many samples fit into float32.
    outputs = to_numpy(sinkhorn_knopp(np.zeros((50000, 3), "float32")))
    np.testing.assert_allclose(outputs, 1 / 3, rtol=1e-3)


def test_half_precision_is_computed_in_float32():
    half = ops.cast(LOGITS, "bfloat16")
    outputs = sinkhorn_knopp(half)
    expected = sinkhorn_knopp(ops.cast(half, "float32"))
    np.testing.assert_array_equal(to_numpy(outputs), to_numpy(expected))
    assert to_numpy(outputs).dtype == np.float32


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_compiled(compilation):
    run = compile_function(
        lambda logits: sinkhorn_knopp(logits), compilation, unknown_batch=True
    )
    np.testing.assert_allclose(
        to_numpy(run(LOGITS)), [sinkhorn(x) for x in LOGITS], atol=1e-5
    )


def test_samples_without_a_score_take_no_part():
    """Such as the places of a queue that are not filled yet."""
    logits = LOGITS.copy()
    logits[:, 1] = -1e9
    outputs = to_numpy(sinkhorn_knopp(logits, 200))
    expected = sinkhorn_knopp(np.delete(logits, 1, axis=1), 200)
    assert (outputs[:, 1] == 0).all()
    np.testing.assert_allclose(
        np.delete(outputs, 1, axis=1), to_numpy(expected), atol=1e-6
    )


def test_many_more_clusters_than_samples():
    """The scales of both stay within float32."""
    logits = np.random.default_rng(0).normal(size=(3, 4096)) / 0.06
    outputs = to_numpy(sinkhorn_knopp(logits.astype("float32"), 50))
    expected = sinkhorn(logits, 50)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
