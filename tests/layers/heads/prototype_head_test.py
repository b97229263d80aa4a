import numpy as np
import pytest
from backend_helpers import layer_gradients
from helpers import to_numpy
from keras import ops
from layers import battery

from keras_capi.layers import PrototypeHead

FEATURES = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
WEIGHTS = {"direction": (8, 5), "gain": (5,)}

CASES = {
    "trainable_gain": battery.Case(
        PrototypeHead,
        {"num_prototypes": 5},
        (FEATURES,),
        battery.Output((2, 6, 5), "float32"),
        trainable=WEIGHTS,
        symbolic_shapes=((None, 8),),
    ),
    "fixed_gain": battery.Case(
        PrototypeHead,
        {"num_prototypes": 5, "trainable_gain": False},
        (FEATURES[:, 0],),
        battery.Output((2, 5), "float32"),
        trainable={"direction": (8, 5)},
        non_trainable={"gain": (5,)},
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def make_head(num_prototypes=5, width=8):
    head = PrototypeHead(num_prototypes)
    head.build((None, width))
    gain = np.random.default_rng(1).uniform(0.5, 2.0, size=num_prototypes)
    head.gain.assign(gain.astype("float32"))
    return head


def test_cosine_similarities_times_gains():
    head = make_head()
    direction = to_numpy(head.direction)
    direction = direction / np.linalg.norm(direction, axis=0)
    features = FEATURES / np.linalg.norm(FEATURES, axis=-1, keepdims=True)
    expected = features @ direction * to_numpy(head.gain)
    np.testing.assert_allclose(to_numpy(head(FEATURES)), expected, atol=1e-6)


def test_lengths_do_not_matter():
    head = make_head()
    expected = to_numpy(head(FEATURES))
    head.direction.assign(to_numpy(head.direction) * 30.0)
    np.testing.assert_allclose(
        to_numpy(head(1e-3 * FEATURES)), expected, atol=1e-5
    )


def test_equals_the_published_head(reference):
    head = PrototypeHead(64)
    head.build((None, 48))
    prefix = "weights/head.last_layer.weight_"
    head.direction.assign(reference[prefix + "v"].T)
    head.gain.assign(reference[prefix + "g"][:, 0])
    np.testing.assert_allclose(
        to_numpy(head(reference["masked/prediction"])),
        reference["masked/logits"],
        atol=1e-6,
    )


def test_gradient_goes_through_both_weights_and_the_features():
    head = make_head()
    (features,), gradients = layer_gradients(
        head, lambda logits: ops.sum(ops.square(logits)), FEATURES
    )
    assert np.abs(features).max() > 1e-3
    assert np.abs(gradients["gain"]).max() > 1e-3
    # Normalised: a prototype can only turn.
    direction = to_numpy(head.direction)
    assert np.abs(gradients["direction"]).max() > 1e-3
    along = np.sum(gradients["direction"] * direction, axis=0)
    across = np.linalg.norm(gradients["direction"], axis=0)
    along = np.abs(along) / (across * np.linalg.norm(direction, axis=0))
    assert along.max() < 1e-3


def test_half_precision_comes_after_the_normalisation():
    half = PrototypeHead(64, dtype="mixed_bfloat16")
    half.build((None, 8))
    half.gain.assign(np.linspace(0.5, 2.0, 64, dtype="float32"))
    direction = to_numpy(half.direction)
    kernel = direction / np.linalg.norm(direction, axis=0)
    kernel = kernel * to_numpy(half.gain)
    # The kernel itself comes out, rounded once: neither were its lengths.
    outputs = to_numpy(half(np.eye(8, dtype="float32")))
    np.testing.assert_allclose(outputs, kernel, rtol=1.01 * 2**-8)


def test_zero_features_have_finite_gradients():
    (features,), _ = layer_gradients(
        make_head(), ops.sum, np.zeros((2, 8), "float32")
    )
    assert np.isfinite(features).all()


def test_initial_weights():
    head = PrototypeHead(128)
    head.build((None, 256))
    direction = to_numpy(head.direction)
    assert 0.0195 < direction.std() < 0.0205
    # Published as truncated at 2, not at two standard deviations.
    assert np.abs(direction).max() > 0.06
    np.testing.assert_array_equal(to_numpy(head.gain), 1)


@pytest.mark.parametrize("num_prototypes", [0, -1, 2.0])
def test_bad_number_of_prototypes(num_prototypes):
    message = "`num_prototypes` must be a positive integer.*num_prototypes="
    with pytest.raises(ValueError, match=f"{message}{num_prototypes}"):
        PrototypeHead(num_prototypes)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("length", [1e-4, 0.0])
def test_short_directions_in_half_precision(dtype, length):
    head = PrototypeHead(5, dtype=dtype)
    head.build((None, 8))
    head.direction.assign(np.eye(8, 5) * length)
    features = np.eye(8, dtype="float32")
    expected = np.eye(8, 5) if length else np.zeros((8, 5))
    np.testing.assert_allclose(to_numpy(head(features)), expected, atol=0.01)
