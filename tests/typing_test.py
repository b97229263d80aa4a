"""What a type checker says of code that uses the package."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_capi

ROOT = pathlib.Path(keras_capi.__file__).parents[1]

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="Types do not depend on the backend: once is enough.",
)

PROGRAM = """
import keras_capi

backbone = keras_capi.models.CAPIBackbone(patch_size=4, hidden_dim=48)
model = keras_capi.models.CAPI(backbone, num_clusters=16)
model.compile(keras_capi.optimizers.capi_optimizer(1e-3, {argument}=9))
loader = keras_capi.data.ImageLoader("photos", batch_size=4)
features = keras_capi.{function}(model.teacher, loader)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With mypy's cache: to read the package takes it most of its time."""
    return tmp_path_factory.mktemp("typing")


def check(folder, **parts):
    pytest.importorskip("mypy", reason="mypy is the type checker")
    program = folder / "program.py"
    program.write_text(PROGRAM.format(**parts))
    return subprocess.run(
        [sys.executable, "-m", "mypy", program]
        + ["--ignore-missing-imports", "--follow-imports=silent"]
        + ["--no-implicit-reexport"]
        + ["--cache-dir", folder],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )


def test_right_code_passes(folder):
    result = check(
        folder, argument="total_steps", function="features.extract_features"
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_misspelt_argument_is_found(folder):
    result = check(
        folder, argument="total_step", function="features.extract_features"
    )
    assert '"total_step"' in result.stdout, result.stdout + result.stderr


def test_missing_function_is_found(folder):
    result = check(
        folder, argument="total_steps", function="features.extract_feature"
    )
    assert "extract_feature" in result.stdout, result.stdout + result.stderr
