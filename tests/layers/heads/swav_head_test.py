import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import SwAVHead
from keras_capi.layers import UnitPrototypes

FEATURES = np.random.default_rng(0).normal(size=(5, 3, 8)).astype("float32")

HEAD = battery.Case(
    SwAVHead,
    {"hidden_dim": 6, "output_dim": 4},
    (FEATURES,),
    battery.Output((5, 3, 4), "float32"),
    trainable={
        "hidden/kernel": (8, 6),
        "hidden/bias": (6,),
        "normalization/gamma": (6,),
        "normalization/beta": (6,),
        "output_layer/kernel": (6, 4),
        "output_layer/bias": (4,),
    },
    non_trainable={
        "normalization/moving_mean": (6,),
        "normalization/moving_variance": (6,),
    },
    symbolic_shapes=((None, 8),),
)
PROTOTYPES = battery.Case(
    UnitPrototypes,
    {"num_prototypes": 6},
    (FEATURES,),
    battery.Output((5, 3, 6), "float32"),
    trainable={"kernel": (8, 6)},
    symbolic_shapes=((None, 8),),
)


@pytest.mark.parametrize("case", [HEAD, PROTOTYPES], ids=["head", "prototypes"])
@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, case):
    check(case)


def test_statistics_are_of_all_views_together():
    head = SwAVHead(6, 4)
    outputs = to_numpy(head(FEATURES, training=True))
    np.testing.assert_allclose(np.linalg.norm(outputs, axis=-1), 1, rtol=1e-5)
    hidden = to_numpy(head.hidden(FEATURES)).reshape(15, 6)
    norm = head.normalization
    # Of torch: the variance of all samples, as estimated from these.
    for moving, start, value in (
        (norm.moving_mean, 0, hidden.mean(axis=0)),
        (norm.moving_variance, 1, hidden.var(axis=0, ddof=1)),
    ):
        np.testing.assert_allclose(
            to_numpy(moving), 0.9 * start + 0.1 * value, rtol=1e-4, atol=1e-6
        )
    normalized = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    expected = to_numpy(head.output_layer(np.maximum(normalized, 0)))
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(
        outputs.reshape(15, 4), expected, rtol=1e-4, atol=1e-5
    )


def test_without_hidden_layer_it_is_linear():
    head = SwAVHead(0, 4)
    head.build((None, 8))
    assert len(head.weights) == 2
    expected = to_numpy(head.output_layer(FEATURES))
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(to_numpy(head(FEATURES)), expected, atol=1e-5)


def test_prototypes_get_the_length_1():
    prototypes = UnitPrototypes(6)
    prototypes.build((None, 8))
    former = to_numpy(prototypes.kernel)
    prototypes.normalize()
    kernel = to_numpy(prototypes.kernel)
    np.testing.assert_allclose(
        kernel, former / np.linalg.norm(former, axis=0), rtol=1e-5
    )
    np.testing.assert_allclose(
        to_numpy(prototypes(FEATURES)), FEATURES @ kernel, rtol=1e-4, atol=1e-5
    )
