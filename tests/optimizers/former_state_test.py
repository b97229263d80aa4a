import io

import h5py
import numpy as np
import pytest

from keras_capi.optimizers.former_state import read_former_state

# Of six variables, in an order that is not that of the file.
NAMES = [
    ("patch_embedding",),
    ("patch_embedding", "biases"),
    ("norms",),
    (),
    ("clustering",),
    ("norms",),
]
# In the file: which of the seven optimizers had which of the variables.
HELD = {0: [0], 1: [1], 2: [], 3: [2, 5], 4: [], 5: [4], 6: [3]}


class Store:
    """What Keras gives to `load_own_variables`, as far as it is used."""

    def __init__(self, path, accumulates):
        self.h5_file = h5py.File(io.BytesIO(), "w")
        for number, indices in HELD.items():
            values = [0]
            if accumulates:
                values += [100 + index for index in indices]
            for index in indices:
                values += [10 + index, 20 + index]
            suffix = f"_{number}" if number else ""
            folder = f"{path}/optimizers/adam_w{suffix}/vars"
            for key, value in enumerate(values):
                self.h5_file[f"{folder}/{key}"] = np.full((2,), value)


@pytest.mark.parametrize("path", ["optimizer", "optimizer/inner_optimizer"])
@pytest.mark.parametrize("accumulates", [False, True])
def test_every_variable_has_its_own(path, accumulates):
    state = read_former_state(Store(path, accumulates), NAMES, accumulates)
    for index, values in enumerate(state):
        expected = [10 + index, 20 + index] + [100 + index] * accumulates
        assert [value[0] for value in values] == expected


def test_other_files_are_left_alone():
    store = Store("optimizer", accumulates=False)
    assert read_former_state(store, NAMES, has_accumulators=True) is None
    assert read_former_state(store, NAMES[:-1], False) is None
    assert read_former_state(Store("elsewhere", False), NAMES, False) is None
    assert read_former_state({}, NAMES, False) is None
