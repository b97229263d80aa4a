import socket
import subprocess
import sys

import numpy as np
from backend_helpers import flags_of_two_devices
from distribution.worker_environment import worker_environment


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_worker(worker, engine, folder):
    """Runs a script as `python worker.py ENGINE results` on several devices.

    Args:
        worker: Path of the script, which writes `results-0.npz` and, from
            further processes, `results-1.npz` and so on.
        engine: String, see `start_engine` in `worker.py`.
        folder: Path of a folder for the results.

    Returns:
        List with a dictionary of arrays of each process.
    """
    environment = worker_environment()
    if engine.endswith("parallel"):
        environment["XLA_FLAGS"] = flags_of_two_devices()
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
            [*command, worker, engine, folder / engine],
            env={**environment, **place},
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in places
    ]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors[-3000:]
    return read_results(engine, folder)


def read_results(engine, folder):
    """What a worker has written, see `run_worker`."""
    results = []
    for path in sorted(folder.glob(f"{engine}-*.npz")):
        with np.load(path) as arrays:
            results.append(dict(arrays))
    return results
