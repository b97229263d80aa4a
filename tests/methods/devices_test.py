"""All methods train alike on one device and on two."""

import pathlib

import keras
import numpy as np
import pytest
from distribution.run_worker import run_worker
from methods.cases import CASES
from methods.devices_worker import train

# One device is there to compare with: the battery traces the same steps.
pytestmark = pytest.mark.usefixtures("untraced")

WORKER = pathlib.Path(__file__).with_name("devices_worker.py")
ENGINE = {
    "jax": "data_parallel",
    "tensorflow": "mirrored",
    "torch": "torchrun",
}[keras.backend.backend()]


def test_same_losses_on_two_devices(tmp_path):
    results = run_worker(WORKER, ENGINE, tmp_path)
    assert len(results) == (2 if ENGINE == "torchrun" else 1)
    for method, case in CASES.items():
        for name, expected in train(case).items():
            for result in results:
                np.testing.assert_allclose(
                    result[f"{method}/{name}"],
                    expected,
                    rtol=1e-5,
                    # Some are small differences of numbers about 1.
                    atol=3e-6,
                    err_msg=f"{method}: {name}",
                )
