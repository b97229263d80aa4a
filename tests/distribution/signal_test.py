import pathlib
import subprocess
import sys

import keras
import pytest
from distribution.worker_environment import worker_environment

WORKER = pathlib.Path(__file__).with_name("signal_worker.py")


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="one process trains on the other backends' several devices",
)
def test_a_signal_to_one_process_stops_all(tmp_path):
    """After the same step; otherwise one would wait for the other for ever."""
    finished = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc-per-node=2", WORKER, tmp_path],
        env=worker_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    for rank in range(2):
        assert f"process {rank} stops with 75" in finished.stdout
    (checkpoint,) = tmp_path.iterdir()
    assert checkpoint.name == "checkpoint-000000-00000002"
