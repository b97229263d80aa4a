"""Several devices give the results of one on the same global batches."""

import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
from distribution.worker_environment import worker_environment

WORKER = pathlib.Path(__file__).parent / "worker.py"
BACKEND = keras.backend.backend()
ENGINES = {
    "jax": ["data_parallel", "model_parallel", "multi_host"],
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
    "torchrun": ["Keras must be older than 3.16. Received: Keras 3.16.0"],
}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_worker(engine, folder):
    """Runs `worker.py` and returns the results of each process."""
    environment = worker_environment()
    if engine.endswith("parallel"):
        environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    places = [{}]
    command = [sys.executable]
    if engine == "torchrun":
        command += ["-m", "torch.distributed.run", "--nproc-per-node=2"]
        command += ["--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    if engine == "multi_host":
        address = f"127.0.0.1:{free_port()}"
        places = [
            {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"{address},{address}",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": str(place),
            }
            for place in range(2)
        ]
    processes = [
        subprocess.Popen(
            [*command, WORKER, engine, folder / engine],
            env={**environment, **place},
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in places
    ]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-3000:]
    results = []
    for path in sorted(folder.glob(f"{engine}-*.npz")):
        with np.load(path) as arrays:
            results.append(dict(arrays))
    return results


def test_same_training_as_on_one_device(tmp_path):
    (one_device,) = run_worker("single", tmp_path)
    assert not len(one_device.pop("errors"))
    for engine in ENGINES:
        results = run_worker(engine, tmp_path)
        several = engine in ("torchrun", "multi_host")
        assert len(results) == (2 if several else 1)
        for result in results:
            errors = result.pop("errors")
            for error, expected in zip(
                errors, ERRORS.get(engine, ()), strict=True
            ):
                assert expected in error
            assert result.keys() == one_device.keys()
            for name, expected in one_device.items():
                np.testing.assert_allclose(
                    result[name],
                    expected,
                    rtol=0,
                    atol=3e-6,
                    err_msg=f"{engine}: {name}",
                )
