"""The command for machines with a GPU, on machines without one."""

import keras
import pytest

from benchmarks import parity
from benchmarks.gpu import jobs
from benchmarks.gpu import run
from benchmarks.gpu import turns
from benchmarks.gpu.device import product_peak
from benchmarks.gpu.table import make_table


def parse(*arguments):
    return run.make_parser().parse_args(arguments)


def test_parity_of_all_methods():
    stored = {x for x in parity.METHODS if parity.stored_arrays(x).exists()}
    assert set(parse().parity) == stored


def test_what_is_trained():
    trained = jobs.training_jobs(parse("--authors", "capi"))
    assert {job["size"] for job in trained} == {"base", "large"}
    sides = [
        (job["side"], job["backend"], job["compile"])
        for job in trained
        if job["size"] == "base" and job["precision"] == "bfloat16"
    ]
    assert sides == [
        ("ours", "torch", "off"),
        ("ours", "torch", "auto"),
        ("ours", "jax", "auto"),
        ("authors", "torch", "off"),
        ("authors", "torch", "on"),
    ]
    assert len(trained) == 20
    assert {job["steps"] for job in trained} == {50}
    assert len(jobs.training_jobs(parse())) == 12


@pytest.mark.parametrize(
    "status, errors, expected",
    [
        (-9, "", "ended by signal 9"),
        (1, "", "exit status 1"),
        (1, "torch.OutOfMemoryError: CUDA out of memory.\n", "out of memory"),
        (1, "x RESOURCE_EXHAUSTED: 2 GiB\nFor simplicity\n", "out of memory"),
        (1, "ValueError: `a|b`.\n  Received: c\n", "ValueError: `a/b`."),
        (1, "one\n\ntwo\n\n", "two"),
    ],
)
def test_reasons(status, errors, expected):
    assert jobs.reason(status, errors) == expected


def test_a_failure_is_a_row():
    options = parse("--parity", "capi")
    job = jobs.training_jobs(options)[0]
    done = {
        **job,
        "images_per_s": 123.4,
        "utilisation": 0.456,
        "peak_tflop_per_s": 50.0,
        "peak_memory_gib": 10.0,
        "first_step_s": 2.0,
        "losses": (9.0, 8.0),
        "device": "A card",
        "versions": "keras 3",
    }
    failed = jobs.run_training({**job, "side": "none"}, timeout=60)
    assert failed["failure"] == "KeyError: 'none'"
    late = jobs.run_training(job, timeout=0.01)
    assert late["failure"] == "It took more than 0.01 seconds."
    parities = [
        {"method": "capi", "backend": "jax"},
        {"method": "dino", "backend": "jax", "failure": "out of memory"},
    ]
    table = make_table(parities, [failed, done, late], options)
    assert table.startswith("Device: A card\nVersions: keras 3\n")
    assert "| dino | jax | failed: out of memory |" in table
    rows = table.splitlines()[-3:]
    assert rows[0].startswith(
        "| keras-capi, torch eager | base | float32 | KeyError: 'none' |"
    )
    assert rows[1] == (
        "| keras-capi, torch eager | base | float32 | 123.4 | 45.6% | 50.00 "
        "| 10.00 | 2.0 | 9.0000 | 8.0000 |"
    )
    assert len({row.count("|") for row in rows}) == 1


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="not measured there"
)
@pytest.mark.parametrize("precision", run.PRECISIONS)
def test_product_peak(precision):
    backend = keras.backend.backend()
    assert product_peak(backend, precision, size=64, repetitions=2) > 0


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="JAX compiles for too long"
)
def test_the_whole_command_when_tiny(tmp_path):
    path = tmp_path / "table.md"
    status = run.main(
        ["--tiny", "--parity", "mae_masks", "--out", str(path)]
        + ["--backend", "torch", "--precision", "float32"]
    )
    text = path.read_text()
    assert status == 0, text
    assert "| mae_masks | torch | passed |" in text
    row = text.splitlines()[-1].split(" | ")
    assert row[0] == "| keras-capi, torch eager"
    # The first loss is about ln(16) for each part, and falls.
    assert float(row[-1].rstrip(" |")) < float(row[-2])


def test_turns(monkeypatch, capsys):
    """Both sides train as often, each after the other."""
    calls = []

    def prepare(side, seconds):
        def run(count):
            calls.append((side, count))
            clock[0] += count * seconds

        def make(options):
            assert options.compile == {"ours": "auto", "authors": "on"}[side]
            return lambda: 9.0, run

        return make

    clock = [0.0]
    # It sets the variable, which is then restored.
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(turns.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(turns, "hide", lambda packages: None)
    monkeypatch.setattr(turns, "memory_in_use", lambda: 1.0)
    monkeypatch.setattr(turns, "peak_memory", lambda backend: 3.5)
    monkeypatch.setattr(turns, "device_name", lambda backend: "A card")
    sides = {"ours": prepare("ours", 0.3), "authors": prepare("authors", 0.4)}
    monkeypatch.setattr(turns, "PREPARE", sides)
    turns.main(["--authors", "capi", "--steps", "5", "--turns", "2"])
    once = [(side, turns.WARM_UP_STEPS) for side in sides]
    assert calls == once + 2 * [(side, 5) for side in sides]
    text = capsys.readouterr().out
    assert "ours: first step 0.0 s, loss 9.0000, then 9.0000; 2.50 GiB" in text
    assert text.count("ours 300.0 ms  authors 400.0 ms") == 2
    assert text.endswith("ratio 0.750 (0.750 to 0.750)\n")
