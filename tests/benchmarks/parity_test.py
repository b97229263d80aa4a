"""The command, on a file of masks alone, which needs no model."""

import json
import shutil

import numpy as np
import pytest

from benchmarks import parity

MASKS = parity.stored_arrays("mae").with_name("mae_masks.npz")


@pytest.fixture
def copy(tmp_path):
    shutil.copy(MASKS.with_suffix(".json"), tmp_path / "mae_masks.json")
    return shutil.copy(MASKS, tmp_path / "mae_masks.npz")


def run(path):
    return parity.main(["--method", "mae", "--arrays", str(path)])


def test_prints_a_line_a_group_and_what_is_not_compared(copy, capsys):
    assert run(copy) == 0
    line, rest = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["group"], line["compared"]) == ("masks", 2)
    assert line["largest"] <= line["tolerance"]
    assert rest == {"not_compared": {}}


def test_exit_status_of_other_arrays(copy, capsys):
    with np.load(copy) as arrays:
        masks = dict(arrays)
    masks["random_14x14"][5, 2] ^= 1
    np.savez(copy, **masks)
    assert run(copy) == 1
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line["key"] == "random_14x14"
    assert line["largest"] > line["tolerance"]
    del masks["random_14x14"]
    np.savez(copy, **masks)
    assert run(copy) == 1
    assert "random_14x14 is missing" in capsys.readouterr().err


def test_what_cannot_be_replayed(copy, capsys):
    copy.with_suffix(".json").write_text('{"configuration": {}}')
    assert run(copy) == 1
    assert "cannot be replayed" in capsys.readouterr().err
