import pathlib
import tomllib

import keras
import pytest
from cli.run_command import run_command

from keras_capi.cli import doctor as module

ROOT = pathlib.Path(__file__).parents[2]


def test_doctor():
    result = run_command("doctor")
    assert result.exit_code == 0, result.output
    assert f"Keras {keras.version()}" in result.output
    backend = keras.backend.backend()
    (line,) = [x for x in result.output.splitlines() if "in use, on" in x]
    assert f"{backend}: " in line
    for part in ("cores, load", "OMP_NUM_THREADS", "Disk", "report: complete"):
        assert part in result.output


def test_what_is_missing(monkeypatch):
    missing = {"jinja2", "tensorflow", "jax", "torch"}
    monkeypatch.setattr(
        module, "_is_installed", lambda name: name not in missing
    )
    monkeypatch.setattr(module, "SMALL_DISK", 1e18)
    result = run_command("doctor")
    assert "report: without jinja2" in result.output
    assert 'pip install "keras-capi[report]"' in result.output
    assert "choose another --out" in result.output
    assert result.output.count("not installed") == 3


@pytest.mark.parametrize(
    ("cores", "load", "threads", "advice"),
    [
        (2, 0.3, 2, []),
        (2, 3.0, 2, ["OMP_NUM_THREADS=1"]),
        (64, 3.0, 64, []),
        (1.5, 0.0, 64, ["64 threads for 1.5 cores.*OMP_NUM_THREADS=1"]),
        (4, 9.0, 32, ["OMP_NUM_THREADS=4", "load 9.0 on 4 cores"]),
        (2, 9.0, None, ["load 9.0"]),
    ],
)
def test_threads(cores, load, threads, advice):
    lines = module.advise_on_threads(cores, load, threads)
    assert len(lines) == len(advice)
    for line, pattern in zip(lines, advice, strict=True):
        with pytest.raises(ValueError, match=pattern):
            raise ValueError(line)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("150000 100000\n", 1.5), ("max 100000\n", 999), ("", 999)],
)
def test_limits_of_containers(tmp_path, monkeypatch, text, limit):
    path = tmp_path / "cpu.max"
    path.write_text(text)
    monkeypatch.setattr(module, "CPU_LIMIT", path)
    monkeypatch.setattr(
        module.os, "sched_getaffinity", lambda pid: range(999), raising=False
    )
    assert module.count_cores() == limit


def test_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    assert extras - {"jax", "tensorflow", "torch", "docs", "dev"} == set(
        module.EXTRAS
    )
    for extra, modules in module.EXTRAS.items():
        count = len(project["optional-dependencies"][extra])
        assert len(modules) == count
