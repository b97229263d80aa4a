import os
import pathlib

HIDDEN = pathlib.Path(__file__).with_name("hidden")


def python_path(backend, *folders):
    """What a process that tests start has as `PYTHONPATH`.

    Keras imports TensorFlow on all backends if it is installed, which takes
    longer than what most of these processes do. As for users of one backend
    alone, it is not there on the others.

    Args:
        backend: String. The backend of the process.
        *folders: Paths of folders to import from.
    """
    hidden = [] if backend == "tensorflow" else [HIDDEN]
    return os.pathsep.join(map(str, [*hidden, *folders]))
