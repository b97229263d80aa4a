"""Several devices give the results of one on the same global batches."""

import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

WORKER = pathlib.Path(__file__).parent / "worker.py"
BACKEND = keras.backend.backend()
ENGINES = {
    "jax": ["data_parallel", "model_parallel"],
    "tensorflow": ["mirrored"],
    "torch": ["torchrun"],
}[BACKEND]
# What each engine refuses, in the order in which the worker tries it.
ERRORS = {
    "data_parallel": ["share each batch equally"],
    "mirrored": [
        "needs `jit_compile=False`",
        "needs `steps_per_execution=1`",
        "needs `gradient_accumulation_steps=None`",
    ],
}


def run_worker(engine, folder):
    """Runs `worker.py` and returns the results of each process."""
    root = WORKER.parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]),
        "OMP_NUM_THREADS": "1",
    }
    if BACKEND == "jax":
        environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    command = [sys.executable]
    if engine == "torchrun":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command += ["-m", "torch.distributed.run", "--nproc-per-node=2"]
        command += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    finished = subprocess.run(
        [*command, WORKER, engine, folder / engine],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    results = []
    for path in sorted(folder.glob(f"{engine}-*.npz")):
        with np.load(path) as arrays:
            results.append(dict(arrays))
    return results


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    (results,) = run_worker("single", tmp_path_factory.mktemp("single"))
    assert not len(results.pop("errors"))
    return results


@pytest.mark.parametrize("engine", ENGINES)
def test_same_training_as_on_one_device(engine, one_device, tmp_path):
    results = run_worker(engine, tmp_path)
    assert len(results) == (2 if engine == "torchrun" else 1)
    for result in results:
        errors = list(result.pop("errors"))
        assert len(errors) == len(ERRORS.get(engine, ()))
        for error, expected in zip(errors, ERRORS.get(engine, ()), strict=True):
            assert expected in error
        assert result.keys() == one_device.keys()
        for name, expected in one_device.items():
            np.testing.assert_allclose(
                result[name], expected, rtol=0, atol=3e-6, err_msg=name
            )
