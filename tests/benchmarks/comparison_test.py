"""What the parity benchmark takes for equal."""

import json

import numpy as np
import pytest

from benchmarks.replay.comparison import Noise
from benchmarks.replay.comparison import Replay
from benchmarks.replay.comparison import compare
from benchmarks.replay.files import loaded_weights

SMALL = np.linspace(-0.5, 0.5, 12, dtype="float32").reshape(3, 4)


def report_of(group, ours, theirs, **arguments):
    return compare({"x": theirs}, Replay({group: {"x": ours}}, **arguments))


@pytest.mark.parametrize(
    ("group", "tolerance"),
    [
        ("forward", 2e-5),
        ("gradients", 2e-5),
        ("losses", 1e-4),
        ("schedules", 1e-7),
        ("final", 3e-4),
    ],
)
def test_tolerances(group, tolerance):
    zeros = np.zeros(3)
    for error, passed in ((0.9 * tolerance, True), (1.1 * tolerance, False)):
        report = report_of(group, zeros + [0, error, 0], zeros)
        (line,) = report.lines
        assert line == {
            "group": group,
            "largest": pytest.approx(error),
            "tolerance": tolerance,
            "key": "x",
            "compared": 1,
        }
        assert report.passed is passed


def test_an_array_that_a_file_does_not_account_for_is_unknown():
    arrays = {"x": np.zeros(3), "weights/other": np.zeros(3)}
    inputs = {"weights/other": "loaded"}
    replay = Replay({"forward": {"x": np.zeros(3), "y": np.ones(3)}}, inputs)
    replay.keep({"x"})
    report = compare(arrays, replay, {"x": (3,)})
    assert report.problems == [
        "weights/other is unknown, so nothing was compared with it"
    ]
    del arrays["weights/other"]
    assert compare(arrays, replay, {"x": (3,)}).passed


def test_weights_of_no_part_are_not_loaded():
    names = ["weights/student.a", "weights/teacher.a", "weights/center"]
    uses = loaded_weights([*names, "weights/other", "final/x"], ("center",))
    assert list(uses) == names


def test_errors_are_relative_to_values_above_one():
    theirs = np.array([10.0, 0.1])
    assert report_of("forward", theirs + [0, 1.9e-4], theirs).passed
    assert not report_of("forward", theirs + [0, 2.1e-4], theirs).passed
    # A gradient may be off by a thousandth beside.
    theirs = np.array([0.5, 0.0])
    assert report_of("gradients", theirs + [5.1e-4, 0], theirs).passed
    assert not report_of("gradients", theirs + [5.3e-4, 0], theirs).passed
    assert not report_of("gradients", theirs + [0, 2.1e-5], theirs).passed


@pytest.mark.parametrize(
    "theirs",
    [
        SMALL[:2],
        SMALL.T,
        SMALL[None],
        SMALL.astype("int64"),
        np.where(SMALL > 0.4, np.nan, SMALL),
        np.where(SMALL > 0.4, np.inf, SMALL),
        SMALL + np.eye(3, 4, dtype="float32") * 1e-2,
        -SMALL,
        SMALL[[1, 0, 2]],
    ],
    ids=range(9),
)
def test_what_is_refused(theirs):
    assert report_of("forward", SMALL, SMALL).passed
    report = report_of("forward", SMALL, theirs)
    assert not report.passed
    (line,) = report.lines
    assert line["largest"] > line["tolerance"]


def test_a_model_that_is_not_finite_is_refused():
    assert not report_of("forward", SMALL * np.nan, SMALL).passed


def test_other_kinds_must_be_the_same():
    for values, other in (
        (np.arange(3), np.array([0, 2, 1])),
        (np.array([True, False]), np.array([True, True])),
        (np.array(["a", "b"]), np.array(["a", "c"])),
    ):
        assert report_of("masks", values, values.copy()).passed
        assert not report_of("masks", values, other).passed


def test_every_array_is_accounted_for():
    replay = Replay({"forward": {"x": SMALL}}, {"images": "images"})
    arrays = {"x": SMALL, "images": SMALL}
    shapes = {"x": (3, 4)}
    report = compare(arrays, replay, shapes)
    assert report.passed
    assert report.not_compared == {"images": "input: images"}
    for changed, problem in (
        ({"x": SMALL}, "images is missing"),
        ({"images": SMALL}, "x is missing"),
        ({**arrays, "y": SMALL}, "y is unknown"),
        ({**arrays, "images": SMALL * np.nan}, "images is not finite"),
    ):
        report = compare(changed, replay)
        assert not report.passed
        assert problem in report.problems[0]
    for others in ({"y": (3, 4)}, {"x": (3, 5)}, {"images": (4,)}):
        assert not compare(arrays, replay, {**shapes, **others}).passed


def test_rounding_noise_is_left_out_within_bounds_and_listed():
    entries = np.zeros(SMALL.shape, bool)
    entries[1] = True
    noise = {"x": Noise(entries, 0.02)}
    off = np.where(entries, SMALL + 0.01, SMALL)
    report = report_of("final", off, SMALL, noise=noise)
    assert report.passed
    assert report.lines[0]["largest"] == 0
    assert "4 of 12 entries" in report.not_compared["x"]
    assert not report_of("final", SMALL + 0.01, SMALL, noise=noise).passed
    off = np.where(entries, SMALL + 0.03, SMALL)
    report = report_of("final", off, SMALL, noise=noise)
    assert not report.passed
    assert "rounding noise of 3.0e-02" in report.problems[0]


def test_weights_that_are_not_trained_stay():
    # Within the tolerance, but not what a rounded average makes of it.
    off = 100 * SMALL + np.eye(3, 4, dtype="float32") * 1e-2
    assert report_of("final", 100 * SMALL, off).passed
    assert not report_of("final", 100 * SMALL, off, fixed={"x"}).passed
    rounded = np.nextafter(100 * SMALL, np.float32(0))
    assert report_of("final", 100 * SMALL, rounded, fixed={"x"}).passed


def test_figures_that_have_no_array():
    replay = Replay({"masks": {"x": SMALL > 0}})
    replay.add_figures("masks", {"frequency of patches": 1.2})
    report = compare({"x": SMALL > 0}, replay)
    (line,) = report.lines
    assert (line["key"], line["largest"]) == ("frequency of patches", 1.2)
    assert not report.passed


def test_lines_are_json(capsys):
    replay = Replay({"forward": {"x": SMALL}}, notes={"masks": "no file"})
    compare({"x": SMALL[:2]}, replay).print()
    printed = capsys.readouterr()
    line, rest = map(json.loads, printed.out.splitlines())
    assert line["largest"] >= 1e300
    assert rest == {"not_compared": {"masks": "no file"}}
    assert "x has shape (2, 4), not (3, 4)" in printed.err
