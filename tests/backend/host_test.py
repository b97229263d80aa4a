"""What does not wait for a GPU, shown by a device that has no values."""

import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi import backend
from keras_capi.layers import BlockwiseMasking
from keras_capi.layers import RandomState
from keras_capi.layers import StratifiedMasking

needs_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="torch alone runs op by op"
)


@pytest.fixture
def device_without_values():
    """To read a value of its tensors raises an error."""
    with keras.device("meta"):
        yield


def test_draws_are_those_of_keras():
    ours, theirs = backend.SeedGenerator(3), keras.random.SeedGenerator(3)
    for _ in range(2):
        np.testing.assert_array_equal(
            *(
                to_numpy(keras.random.uniform((2, 3), seed=seed))
                for seed in (ours, theirs)
            )
        )
    np.testing.assert_array_equal(
        to_numpy(ours.state.value), to_numpy(theirs.state.value)
    )


@needs_torch
def test_states_of_random_numbers_are_on_the_host(device_without_values):
    random_state = RandomState(seed=3)
    for count in range(2):
        seed, position = random_state.generator.next()
        assert (int(seed), int(position)) == (3, count)


@needs_torch
@pytest.mark.parametrize("kind", [BlockwiseMasking, StratifiedMasking])
def test_masks_that_are_read_are_drawn_on_the_host(kind, device_without_values):
    images = keras.ops.zeros((4, 2))
    mask = kind((6, 6), seed=0).call(images)["mask"]
    assert mask.device.type == "meta"
    assert mask.shape == (4, 36)
