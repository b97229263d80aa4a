"""A file that keeps its errors to itself until it is asked."""

import pathlib
import subprocess
import sys

import pytest

import keras_capi
from keras_capi.features.careful_file import CarefulFile

MODULE = pathlib.Path(keras_capi.__file__).parent / "features/careful_file.py"
# Without Keras, which takes seconds to import.
PROGRAM = f"""
import resource, signal, sys
import h5py
import numpy as np

names = {{}}
exec(open({str(MODULE)!r}).read(), names)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
file = names["CarefulFile"](sys.argv[1], "x+")
hdf5 = h5py.File(file, "w")
data = hdf5.create_dataset("a", data=np.zeros((2, 99)), maxshape=(None, 99))
for count in range(2, 100, 2):
    data.resize(count + 2, axis=0)
    data[count:] = 1.0
hdf5.close()
try:
    file.check()
except OSError as error:
    print("failed:", error)
"""


def test_hdf5_survives_a_full_disk(tmp_path):
    """It would end in a segmentation fault, at the exit of the process."""
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "a.h5"],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("failed: [Errno 27]")


def test_without_errors(tmp_path):
    with CarefulFile(tmp_path / "a", "x+") as file:
        assert file.write(b"abcd") == 4
        file.check()
        file.seek(0)
        assert file.read() == b"abcd"
    with pytest.raises(FileExistsError):
        CarefulFile(tmp_path / "a", "x+")
