import pathlib

import keras
import pytest
from distribution.run_two_processes import run_two_processes

WORKER = pathlib.Path(__file__).with_name("signal_worker.py")


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="one process trains on the other backends' several devices",
)
def test_a_signal_to_one_process_stops_all(tmp_path):
    """After the same step; otherwise one would wait for the other for ever."""
    printed = run_two_processes(WORKER, tmp_path, timeout=300)
    for rank in range(2):
        assert f"process {rank} stops with 75" in printed
    (checkpoint,) = tmp_path.iterdir()
    assert checkpoint.name == "checkpoint-000000-00000002"
