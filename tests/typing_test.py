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


PROGRAMS = {
    "right": {
        "argument": "total_steps",
        "function": "features.extract_features",
    },
    "misspelt": {
        "argument": "total_step",
        "function": "features.extract_features",
    },
    "missing": {
        "argument": "total_steps",
        "function": "features.extract_feature",
    },
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """What mypy says of each program, all in one run: it reads much first."""
    pytest.importorskip("mypy", reason="mypy is the type checker")
    folder = tmp_path_factory.mktemp("typing")
    for name, parts in PROGRAMS.items():
        (folder / f"{name}.py").write_text(PROGRAM.format(**parts))
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *(f"{name}.py" for name in PROGRAMS)]
        + ["--ignore-missing-imports", "--follow-imports=silent"]
        + ["--no-implicit-reexport"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    lines = result.stdout.splitlines()
    assert f"checked {len(PROGRAMS)} source files" in lines[-1], lines
    return {
        name: [line for line in lines if line.startswith(f"{name}.py:")]
        for name in PROGRAMS
    }


def test_right_code_passes(complaints):
    assert not complaints["right"]


def test_misspelt_argument_is_found(complaints):
    assert '"total_step"' in complaints["misspelt"][0]


def test_missing_function_is_found(complaints):
    assert "extract_feature" in complaints["missing"][0]
