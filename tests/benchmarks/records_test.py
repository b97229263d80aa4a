"""Whether a step that became slower is noticed."""

import json
import pathlib

import pytest

from benchmarks.pairs import records

SETTINGS = {"backend": "torch", "what": "train", "side": "ours"}


class Side:
    """A worker whose steps take the seconds that it is given."""

    def __init__(self, seconds):
        self.seconds, self.slices, self.closed = seconds, [], False

    def run(self, steps):
        # A machine that becomes slower with every slice of both.
        self.slices.append(
            {"seconds": [self.seconds * (1 + len(self.slices))] * steps}
        )

    def close(self):
        self.closed = True


def compare(now, then=1.0, count=1):
    sides, unpacked = [], []

    def make_worker(settings, checkout):
        assert settings == SETTINGS
        sides.append(Side(now if checkout == records.ROOT else then))
        return sides[-1]

    def unpack(commit, folder):
        assert pathlib.Path(folder).is_dir()
        unpacked.append(commit)

    status = records.compare(
        [{"commit": "abc", "settings": SETTINGS}] * count,
        rounds=3,
        steps=2,
        make_worker=make_worker,
        unpack=unpack,
    )
    assert unpacked == ["abc"] * count
    assert len(sides) == 2 * count and all(side.closed for side in sides)
    return status


@pytest.mark.parametrize(
    ("now", "status", "verdict"),
    [(0.5, 0, "kept"), (1.04, 0, "kept"), (1.06, 1, "slower")],
)
def test_a_step_that_became_slower(now, status, verdict, capsys):
    assert compare(now) == status
    line = json.loads(capsys.readouterr().out)
    assert line["verdict"] == verdict
    assert line["ratio"] == [now, now, now]
    assert line["since"] == "abc" and line["backend"] == "torch"


def test_every_record_gets_a_line(capsys):
    assert compare(2.0, count=2) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_sides_end_with_an_error():
    sides = []

    def make_worker(settings, checkout):
        if sides:
            raise RuntimeError("no worker")
        sides.append(Side(1.0))
        return sides[0]

    with pytest.raises(RuntimeError, match="no worker"):
        records.compare(
            [{"commit": "abc", "settings": SETTINGS}],
            1,
            1,
            make_worker,
            lambda *_: None,
        )
    assert sides[0].closed


def test_records_are_appended_and_read(tmp_path, monkeypatch):
    answers = {"status": b"", "rev-parse": b"abc\n"}
    monkeypatch.setattr(records, "_git", lambda name, *_: answers[name])
    path = tmp_path / "speed.jsonl"
    path.write_text("# measured on a quiet machine\n\n")
    for _ in range(2):
        records.append_record(path, SETTINGS, {"step_ms": [1, 2, 3]})
    record = {
        "commit": "abc",
        "settings": SETTINGS,
        "result": {"step_ms": [1, 2, 3]},
    }
    assert records.read_records(path) == [record, record]


def test_what_is_not_committed_cannot_be_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_git", lambda *_: b" M keras_capi/ops/a.py")
    with pytest.raises(RuntimeError, match="must be committed"):
        records.append_record(tmp_path / "speed.jsonl", SETTINGS, {})
    assert not (tmp_path / "speed.jsonl").exists()
