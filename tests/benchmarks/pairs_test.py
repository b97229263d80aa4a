"""How two programs take turns, and what their times say."""

import argparse
import importlib
import json

import keras
import pytest

from benchmarks import pair
from benchmarks.authors.tensors import check_loss
from benchmarks.pairs import ratios
from benchmarks.pairs import worker
from benchmarks.pairs.contest import ROOT
from benchmarks.pairs.contest import Worker
from benchmarks.pairs.contest import take_turns
from benchmarks.speed import SIZES
from benchmarks.train_step import METHODS

# A worker without a model, that notes when it worked.
SCRIPT = """
import json, sys
sys.path.insert(0, {root!r})
from benchmarks.pairs.worker import serve
options = json.loads(sys.argv[1])
if options["breaks"]:
    raise SystemExit("broken")
def run():
    with open(options["log"], "a") as file:
        file.write(options["name"])
serve(run, lambda: 1e9, sys.stdin, lambda x: print(json.dumps(x), flush=True))
"""


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "benchmarks" / "pairs"
    folder.mkdir(parents=True)
    (folder / "worker.py").write_text(SCRIPT.format(root=str(ROOT)))
    return tmp_path


def test_workers_take_turns_back_and_forth(checkout):
    log = checkout / "log"
    workers = [
        Worker({"name": name, "log": str(log), "breaks": False}, checkout)
        for name in "ab"
    ]
    assert log.read_text() == "aabb"  # each is warmed up
    take_turns(workers, rounds=2, steps=2)
    for process in workers:
        process.close()
    # One step of a slice is not measured.
    assert log.read_text().removeprefix("aabb") == "aaabbbbbbaaa"
    for process in workers:
        assert process.start["memory_gib"] > 0
        for part in process.slices:
            assert len(part["seconds"]) == len(part["cpu_seconds"]) == 2
            assert part["peak_flops"] == 1e9
            assert part["memory_gib"] > 0


def test_a_worker_that_ends_early_is_named(checkout):
    with pytest.raises(RuntimeError, match="ended early.*'name': 'c'"):
        Worker({"name": "c", "breaks": True}, checkout)


def test_ratios_are_of_the_medians_of_a_round():
    ours, theirs = [[2, 3, 9], [4, 4]], [[1, 1, 5], [8, 8, 8]]
    by_round = ratios.ratios_by_round(ours, theirs)
    assert by_round == [3, 0.5]
    assert ratios.summary([*by_round, 1]) == [1, 0.5, 3]
    assert ratios.quartiles([4, 1, 2, 3, 5]) == [2, 3, 4]
    assert ratios.quartiles([4]) == [4, 4, 4]


class Side:
    def __init__(self, seconds, peak):
        self.start = {"first_step_s": 9.0, "memory_gib": 2.0}
        self.slices = [
            {
                "seconds": [seconds] * 3,
                "cpu_seconds": [2 * seconds] * 3,
                "peak_flops": peak,
                "memory_gib": 1.5,
            }
        ] * 2


def test_both_shares_are_of_the_faster_product():
    ours, theirs = Side(0.5, 4e9), Side(1.0, 8e9)
    speeds = pair.product_speeds([ours, theirs])
    report = pair.report(ours, theirs, 1e9, speeds)
    assert report["ratio"] == report["cpu_ratio"] == [0.5, 0.5, 0.5]
    assert report["peak_gflop_per_s"] == [4, 6, 8]
    ours, theirs = report["ours"], report["theirs"]
    assert (ours["share_of_peak"], theirs["share_of_peak"]) == (0.25, 0.125)
    assert ours["share_of_own_product"] == 0.5
    assert theirs["share_of_own_product"] == 0.125
    assert ours["step_ms"] == [500] * 3
    assert ours["cpu_ms"] == [1000] * 3
    assert ours["first_step_s"] == 9
    assert (ours["peak_memory_gib"], ours["warm_up_memory_gib"]) == (1.5, 2)


def options_of(**changes):
    # JAX would compile each of the operations by itself.
    compiled = keras.backend.backend() == "jax"
    settings = {
        "size": "test",
        "image_size": 48,
        "batch_size": 2,
        "precision": "float32",
        "clusters": 8,
        "chunk_size": None,
        "method": "capi",
        "compile": "on" if compiled else "off",
        "backend": keras.backend.backend(),
        "side": "ours",
        "what": "train",
    }
    return argparse.Namespace(**settings | changes)


def test_our_side_trains(monkeypatch):
    monkeypatch.setitem(SIZES, "test", (16, 2, 1, 1, 8))
    answers = []
    worker.serve(
        worker.build(options_of()),
        lambda: 1e9,
        ['{"steps": 1}'],
        answers.append,
    )
    assert set(answers[0]) == {"first_step_s", "memory_gib"}
    assert 0 < answers[1]["seconds"][0] < 60
    json.dumps(answers)


def methods_of_this_backend():
    # A third each: what is tested is the same, and models take long to build.
    backends = ["jax", "tensorflow", "torch"]
    return list(METHODS)[backends.index(keras.backend.backend()) :: 3]


@pytest.mark.parametrize("method", methods_of_this_backend())
def test_models_take_their_batches(method, monkeypatch):
    monkeypatch.setitem(SIZES, "test", (16, 2, 1, 1, 8))
    options = options_of(method=method)
    model, _, batch = METHODS[method].build(options)
    model.check_inputs(batch if isinstance(batch, dict) else {"images": batch})
    assert METHODS[method].flops(options) > 0


@pytest.mark.parametrize(
    "name", [path.stem for path in ROOT.glob("benchmarks/authors/*.py")]
)
def test_authors_train_what_we_train(name):
    module = importlib.import_module(f"benchmarks.authors.{name}")
    if hasattr(module, "training"):
        assert name in METHODS
        expected = "tensorflow" if name == "image_gpt" else "torch"
        assert pair.authors_backend(name) == expected


def test_losses_are_finite():
    assert check_loss(0.5) == 0.5
    with pytest.raises(FloatingPointError, match="not finite"):
        check_loss(float("nan"))
