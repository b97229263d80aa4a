"""The wheel and the source archive, as `python -m build` makes them."""

import pathlib
import subprocess
import sys
import tarfile
import zipfile

import keras
import pytest

import keras_capi

ROOT = pathlib.Path(keras_capi.__file__).parents[1]
VERSION = keras_capi.__version__


@pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="What is packaged does not depend on the backend: once is enough.",
)
def test_archives_are_complete_and_reproducible(tmp_path):
    pytest.importorskip("build", reason="`build` makes the archives")
    pytest.importorskip("setuptools", reason="the build backend, not isolated")
    # A copy, as building leaves files in the tree, and takes those it finds.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    packaged = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "keras_capi").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for name, content in packaged.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    wheels = []
    for attempt in ("first", "second"):
        result = subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", source]
            + ["--outdir", tmp_path / attempt],
            env={"SOURCE_DATE_EPOCH": "1700000000", "PATH": ""},
            check=False,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        wheel = tmp_path / attempt / f"keras_capi-{VERSION}-py3-none-any.whl"
        wheels.append(wheel.read_bytes())
    assert wheels[0] == wheels[1]

    with zipfile.ZipFile(wheel) as archive:
        found = {
            name: archive.read(name)
            for name in archive.namelist()
            if ".dist-info/" not in name
        }
        metadata = archive.read(f"keras_capi-{VERSION}.dist-info/METADATA")
        scripts = archive.read(
            f"keras_capi-{VERSION}.dist-info/entry_points.txt"
        )
    assert found == packaged
    assert b"keras_capi.cli.main:main" in scripts
    for extra in (b"jax", b"tensorflow", b"torch", b"cli"):
        assert b"Provides-Extra: " + extra + b"\n" in metadata
    archive = tmp_path / "second" / f"keras_capi-{VERSION}.tar.gz"
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert packaged.keys() | {"LICENSE", "README.md"} <= names
