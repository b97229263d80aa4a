import pathlib

import keras
import pytest
from distribution.run_two_processes import run_two_processes

WORKER = pathlib.Path(__file__).with_name("alone_worker.py")


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="one process trains on the other backends' several devices",
)
def test_one_process_alone_does_not_wait_for_ever():
    printed = run_two_processes(WORKER, timeout=120)
    for method in ("fit", "evaluate"):
        message = f"refused: All processes of a group must call `{method}`"
        assert message in printed
