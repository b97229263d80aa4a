"""What may stand in the place of the clustering."""

import numpy as np
import pytest
from layers import battery

from keras_capi.layers import DistilledTargets
from keras_capi.layers import LatentTargets

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(size=(4, 6, 8)).astype("float32")
INDICES = GENERATOR.integers(0, 6, (4, 2)).astype("int32")
SCORES = GENERATOR.normal(size=(4, 2, 5)).astype("float32")

CASES = [
    battery.Case(
        LatentTargets,
        {"beta": 0.5},
        (FEATURES, INDICES),
        battery.Output((4, 2, 8), "float32"),
    ),
    battery.Case(
        DistilledTargets,
        {
            "num_clusters": 5,
            "temperature": 0.2,
            "center_momentum": 0.8,
            "num_layers": 2,
            "hidden_dim": 6,
            "bottleneck_dim": 4,
        },
        (SCORES,),
        battery.Output((4, 2, 5), "float32"),
        non_trainable={
            "centering/center": (5,),
            "centering/current_temperature": (),
        },
        symbolic_shapes=((None, 5),),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda x: x.layer_class.__name__)
@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check, case):
    check(case)
