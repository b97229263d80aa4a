"""What is and is not a checkpoint, and that none is lost or mistaken."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_capi.callbacks import directory_lock
from keras_capi.callbacks.checkpoint_folder import CheckpointFolder
from keras_capi.callbacks.checkpoint_folder import read_state

NEWEST = "checkpoint-000001-00000002"


@pytest.fixture
def folder(tmp_path):
    """A folder of two checkpoints."""
    folder = CheckpointFolder(tmp_path / "run")
    folder.open()
    for epoch, batch in ((1, 0), (1, 2)):
        state = {"settings": {}, "metrics": [0.5]}
        folder.write(epoch, batch, bytes(range(100)), state)
    yield folder
    folder.close()


def names(folder):
    return sorted(
        path.name for path in folder.path.iterdir() if path.name != "lock"
    )


def test_users_folders_are_left_alone(folder):
    path = folder.path
    for name in (
        "checkpoint-backup",
        "checkpoint-000001-00000002-copy",
        # Renamed, it says another position than its name.
        "checkpoint-000009-00000000",
        "checkpoint-999999-99999999",
    ):
        shutil.copytree(path / NEWEST, path / name)
    (path / "checkpoint-000007-00000000").mkdir()
    (path / "checkpoint-000008-00000000").write_text("a file")
    (path / "partial-results").mkdir()
    (path / "partial-results" / "table.csv").write_text("1,2")
    (path / "partial-notes").write_text("text")
    (path / "checkpoint-000006-00000000").symlink_to(path / NEWEST)
    (path / "partial-000001-00000003").mkdir()
    before = names(folder)

    folder.open()
    assert folder.newest_intact() == (path / NEWEST, [])
    folder.write(2, 0, b"weights", {})
    folder.prune(keep=1)
    after = {*before, "checkpoint-000002-00000000"}
    after -= {NEWEST, "checkpoint-000001-00000000", "partial-000001-00000003"}
    assert names(folder) == sorted(after)
    assert (path / "partial-results" / "table.csv").read_text() == "1,2"


def test_sorts_by_number(folder):
    for epoch, batch in (
        (999_999, 0),
        (1_000_000, 5),
        (1_000_000, 100_000_000),
    ):
        folder.write(epoch, batch, b"weights", {})
    newest, _ = folder.newest_intact()
    assert newest.name == "checkpoint-1000000-100000000"
    assert read_state(newest) == {"epoch": 1_000_000, "batch": 100_000_000}


def flip_bit(path, generator):
    content = bytearray(path.read_bytes())
    bit = generator.integers(8 * len(content))
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["model.weights.h5", "state.json", "SHA256SUMS"]
)
def test_any_damaged_bit_is_noticed(folder, name):
    generator = np.random.default_rng(0)
    newest = folder.path / NEWEST
    content = (newest / name).read_bytes()
    for _ in range(200):
        flip_bit(newest / name, generator)
        found, damaged = folder.newest_intact()
        assert found.name == "checkpoint-000001-00000000"
        assert [path for path, _ in damaged] == [newest]
        (newest / name).write_bytes(content)
    assert folder.newest_intact() == (newest, [])


@pytest.mark.parametrize(
    "name", ["model.weights.h5", "state.json", "SHA256SUMS"]
)
def test_missing_and_short_files_are_noticed(folder, name):
    newest = folder.path / NEWEST
    content = (newest / name).read_bytes()
    for short in (b"", content[:-1], content + b"0"):
        (newest / name).write_bytes(short)
        assert folder.newest_intact()[0] != newest
    (newest / name).unlink()
    assert folder.newest_intact()[0] != newest


def test_ends_if_all_are_damaged(folder):
    for path in folder.checkpoints():
        (path / "model.weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="and none is.*000001-00000000"):
        folder.newest_intact()


def test_damaged_ones_are_kept_aside(folder):
    newest = folder.path / NEWEST
    for _ in range(2):
        (newest / "state.json").write_bytes(b"{")
        folder.set_aside(newest)
        folder.write(1, 2, b"weights", {})
    folder.prune(keep=2)
    assert names(folder) == [
        "checkpoint-000001-00000000",
        NEWEST,
        "damaged-000001-00000002",
    ]


def hold(folder):
    """Has another process take the directory, as a training does."""
    program = """
import pathlib, runpy, sys
lock = runpy.run_path(sys.argv[1])["DirectoryLock"](pathlib.Path(sys.argv[2]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, directory_lock.__file__, folder.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.skipif(os.name == "nt", reason="no locks of that kind")
def test_a_directory_in_use_is_refused(folder):
    folder.close()
    half_written = folder.path / "partial-000001-00000003"
    half_written.mkdir()
    with hold(folder) as process:
        with pytest.raises(
            ValueError, match=f"in use by process {process.pid}"
        ):
            folder.open()
        assert half_written.exists()
        process.kill()
    # Not even `kill -9` leaves it locked.
    assert (folder.path / "lock").exists()
    folder.open()
    assert not half_written.exists()
    # In this process it may be opened again.
    CheckpointFolder(str(folder.path)).open()
    folder.close()
    assert not (folder.path / "lock").exists()
