import os
import pathlib

import keras
from python_path import python_path


def worker_environment():
    """The environment of a process that trains beside others."""
    tests = pathlib.Path(__file__).parents[1]
    return {
        **os.environ,
        "PYTHONPATH": python_path(keras.backend.backend(), tests.parent, tests),
        "OMP_NUM_THREADS": "1",
    }
