import pathlib
import subprocess
import sys

import keras
import pytest
from distribution.worker_environment import worker_environment

WORKER = pathlib.Path(__file__).with_name("alone_worker.py")


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="one process trains on the other backends' several devices",
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_one_process_alone_does_not_wait_for_ever(method):
    finished = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc-per-node=2", WORKER, method],
        env=worker_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    message = f"refused: All processes of a group must call `{method}`"
    assert message in finished.stdout
