import os
import pathlib
import subprocess
import sys

import keras
from python_path import python_path

ROOT = pathlib.Path(__file__).parents[2]


def run_example(script, folder, *arguments, launcher=(), **environment):
    """Runs a script of the examples in a folder, as a user does."""
    backend = keras.backend.backend()
    finished = subprocess.run(
        [sys.executable, *launcher, ROOT / "examples" / script]
        + [str(argument) for argument in arguments],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": python_path(backend, ROOT),
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished
