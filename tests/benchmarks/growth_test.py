"""Curves of a step's growth, in parts and as a picture."""

import json

import pytest

from benchmarks import growth


def record(axis, backend, **settings):
    return {
        "axis": axis,
        "backend": backend,
        "size": "tiny",
        "batch_size": 16,
        "clusters": 4096,
        "image_size": 224,
        "ours": {"step_ms": [1, 2, 3]},
        "theirs": {"step_ms": [3, 4, 5]},
        "ratio": [0.5, 0.4, 0.6],
        **settings,
    }


@pytest.fixture
def asked(monkeypatch):
    asked = []

    def pairs(options):
        asked.append((options.clusters, tuple(options.backend)))
        return [
            record("clusters", backend, clusters=options.clusters)
            for backend in options.backend
        ]

    monkeypatch.setattr(growth, "pairs", pairs)
    return asked


def test_goes_on_where_it_stopped(tmp_path, asked):
    path = str(tmp_path / "growth.jsonl")
    common = ["clusters", path, "--authors", "theirs", "--values"]
    growth.main([*common, "64", "--backend", "jax"])
    growth.main([*common, "64", "128", "--backend", "jax", "torch"])
    growth.main([*common, "64", "128", "--backend", "torch"])
    assert asked == [(64, ("jax",)), (64, ("torch",)), (128, ("jax", "torch"))]
    lines = (tmp_path / "growth.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert {json.loads(line)["backend"] for line in lines} == {"jax", "torch"}


def test_draws_all_axes(tmp_path):
    records = [
        record("batch", "jax", batch_size=4),
        record("batch", "jax", batch_size=8),
        record("batch", "torch", batch_size=8),
        record("patches", "tensorflow", image_size=96),
    ]
    assert growth.curves(records) == {
        "batch": {
            "theirs": {4: 4, 8: 4},
            "jax": {4: 2, 8: 2},
            "torch": {8: 2},
        },
        "patches": {"theirs": {36: 4}, "tensorflow": {36: 2}},
    }
    path, picture = tmp_path / "growth.jsonl", tmp_path / "growth.png"
    path.write_text("".join(json.dumps(line) + "\n" for line in records))
    growth.main(["draw", str(path), "--picture", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_pair_needs_the_authors_code(tmp_path, capsys):
    with pytest.raises(SystemExit):
        growth.main(["batch", str(tmp_path / "growth.jsonl")])
    assert "--authors" in capsys.readouterr().err
