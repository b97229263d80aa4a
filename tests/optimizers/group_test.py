import pytest

from keras_capi.optimizers import Group


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"learning_rate_multiplier": -1}, "learning_rate_multiplier=-1"),
        ({"weight_decay_multiplier": (0.1, -1)}, r"multiplier=\(0.1, -1\)"),
        ({"learning_rate_multiplier": ()}, r"learning_rate_multiplier=\(\)"),
        ({"learning_rate": "3"}, "learning_rate='3'"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
        ({"frozen_steps": 1.5}, "frozen_steps=1.5"),
        ({"freeze": "moments"}, "freeze='moments'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Group(**arguments)
