import os
import pathlib


def worker_environment():
    """The environment of a process that trains beside others."""
    tests = pathlib.Path(__file__).parents[1]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
        "OMP_NUM_THREADS": "1",
    }
