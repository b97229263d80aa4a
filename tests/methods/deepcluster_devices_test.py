"""Both versions of DeepCluster make the same clusters on several devices."""

import pathlib

import keras
import numpy as np
import pytest
from distribution.run_worker import run_worker
from methods import deepcluster_devices_worker as worker

WORKER = pathlib.Path(worker.__file__)
ENGINES = {
    "jax": ["data_parallel", "multi_host"],
    "tensorflow": ["mirrored"],
    "torch": ["torchrun"],
}[keras.backend.backend()]
NOT_NUMBERED = "must have their numbers in the whole data set"
ERRORS = [
    f"{NOT_NUMBERED}.*num_images=16, ['images']",
    f"{NOT_NUMBERED}.*num_images=None, ['images', 'indices']",
    "each must be able to load any image.*8 of 16 images in one of 2",
]
if keras.backend.backend() == "jax":
    ERRORS += 2 * ["must train under `keras.distribution`.*2 processes"]


@pytest.fixture(scope="module")
def one_device():
    return {
        **worker.train(),
        **worker.train_first(),
        **worker.train_first_on_arrays(),
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_same_clusters_as_on_one_device(engine, one_device, tmp_path):
    results = run_worker(WORKER, engine, tmp_path)
    several = engine in ("multi_host", "torchrun")
    assert len(results) == (2 if several else 1)
    for result in results:
        for error, expected in zip(
            result.pop("errors"), ERRORS if several else [], strict=True
        ):
            for part in expected.split(".*"):
                assert part in error
        assert result.keys() == one_device.keys()
        for name, values in result.items():
            np.testing.assert_allclose(
                values,
                one_device[name],
                rtol=0,
                # Tiny gradients are made long by LARC.
                atol=1e-5,
                err_msg=f"{engine}: {name}",
            )
