import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import ProjectionHead

FEATURES = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")

CASE = battery.Case(
    ProjectionHead,
    {"num_layers": 2, "hidden_dim": 6, "bottleneck_dim": 4},
    (FEATURES,),
    battery.Output((2, 3, 4)),
    trainable={
        "layer_1/kernel": (8, 6),
        "layer_1/bias": (6,),
        "layer_2/kernel": (6, 4),
        "layer_2/bias": (4,),
    },
    symbolic_shapes=((None, 8),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def test_gelu_is_between_its_layers():
    head = ProjectionHead(2, 1, 1)
    head.build((None, 1))
    for layer in head.layers:
        layer.kernel.assign([[1.0]])
    # x * Phi(x), exact.
    np.testing.assert_allclose(
        to_numpy(head(np.array([[1.0], [-2.0]], "float32")))[:, 0],
        [0.8413447, -0.0455003],
        rtol=1e-4,
    )
