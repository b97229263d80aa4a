import os
import pathlib
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "pretrain_on_several_devices.py"


def test_trains_and_saves(tmp_path):
    """As a user starts it; JAX and torch with two devices."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    command = [sys.executable]
    if keras.backend.backend() == "torch":
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node=2"]
    arguments = ["--batch-size=8", "--epochs=1"]
    finished = subprocess.run(
        [*command, SCRIPT, *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    losses = [
        line.split(": ")[1]
        for line in finished.stdout.splitlines()
        if line.startswith("Loss of process")
    ]
    num_processes = 2 if keras.backend.backend() == "torch" else 1
    assert len(losses) == num_processes
    # All processes log the loss of the global batch.
    assert len(set(losses)) == 1
    keras.saving.load_model(tmp_path / "model.keras")
