"""Which backend the command and the package take, in processes of their own."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import pytest

BACKENDS = {"tensorflow", "jax", "torch"}
ROOT = pathlib.Path(__file__).parents[1]
BACKEND = keras.backend.backend()
OTHERS = sorted(BACKENDS - {BACKEND})

# Python runs it at its start. Keras is left out where only the choice matters:
# it takes seconds to import.
HOOK = '''
import os
import sys
import types

HIDDEN = os.environ["HIDDEN"].split()
BROKEN = os.environ["BROKEN"].split()


class Finder:
    """Finds what Python does, but for some packages."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name in HIDDEN:
            return None
        if name in BROKEN:
            raise RuntimeError(f"{name} was built for another version")
        return self.finder.find_spec(name, path, target)


sys.meta_path[:] = [Finder(finder) for finder in sys.meta_path]
for name in os.environ["EMPTY"].split():
    sys.modules[name] = types.ModuleType(name)
'''
CHOOSE = """
import os, sys
sys.argv = sys.argv[1:]
from keras_capi.backend_choice import choose_backend
choose_backend()
print("chosen:", os.environ.get("KERAS_BACKEND"))
"""


@pytest.fixture
def start(tmp_path):
    """A function that starts Python with some packages hidden."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)

    def start(*arguments, hidden=(), broken=(), empty=(), **variables):
        environment = {
            name: value
            for name, value in os.environ.items()
            if name != "KERAS_BACKEND"
        }
        return subprocess.run(
            [sys.executable, *arguments],
            env={
                **environment,
                "KERAS_HOME": str(tmp_path),
                "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
                "HIDDEN": " ".join(hidden),
                "BROKEN": " ".join(broken),
                "EMPTY": " ".join(empty),
                **variables,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


@pytest.fixture
def choose(start, tmp_path):
    """A function that tells the choice of a process, without Keras."""
    # Stands for the package, whose own start would import Keras.
    package = tmp_path / "keras_capi"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(ROOT / "keras_capi" / "backend_choice.py", package)

    def choose(*arguments, **options):
        # Those that are neither hidden nor broken need not be loaded.
        present = BACKENDS - {
            *options.get("hidden", ()),
            *options.get("broken", ()),
        }
        return start("-c", CHOOSE, *arguments, empty=present, **options)

    return choose


def test_help_with_one_backend(start):
    result = start("-m", "keras_capi", "--help", hidden=OTHERS)
    assert result.returncode == 0, result.stderr
    assert "pretrain" in result.stdout
    lines = [line for line in result.stderr.splitlines() if "Using" in line]
    assert len(lines) == 1
    assert f"Using {BACKEND}" in lines[0] and "--backend" in lines[0]


def test_the_option_counts_before_keras_is_imported(start):
    # The variable names what is not there.
    result = start(
        *("-m", "keras_capi", "--backend", BACKEND, "presets"),
        hidden=OTHERS,
        KERAS_BACKEND=OTHERS[0],
    )
    assert result.returncode == 0, result.stderr
    assert "capi_vit" in result.stdout
    assert "Using" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "hidden", "variable", "expected"),
    [
        (["--backend=torch", "embed"], ["tensorflow"], None, "torch"),
        (["--backend", "jax", "--backend", "torch"], [], None, "torch"),
        # After the command it is not this option.
        (["embed", "--backend", "torch"], [], "jax", "jax"),
        ([], [], "torch", "torch"),
        ([], ["tensorflow"], None, "jax"),
        ([], ["tensorflow", "jax"], None, "torch"),
        ([], ["torch"], "torch", "tensorflow"),
        ([], ["tensorflow", "torch"], "torch", "jax"),
    ],
    ids=str,
)
def test_the_command_takes_what_is_installed(
    choose, arguments, hidden, variable, expected
):
    variables = {"KERAS_BACKEND": variable} if variable else {}
    result = choose("bin/keras-capi", *arguments, hidden=hidden, **variables)
    assert result.stdout.strip() == f"chosen: {expected}", result.stderr
    is_own_choice = variable != expected and "--backend" not in str(arguments)
    said = [f"Using {expected}"] if is_own_choice else []
    assert [
        line[: len(f"Using {expected}")] for line in result.stderr.splitlines()
    ] == said


def test_the_configuration_of_keras_counts_if_installed(choose, tmp_path):
    path = tmp_path / "keras.json"
    path.write_text(json.dumps({"backend": "torch"}))
    result = choose("keras-capi")
    # Keras reads it, too.
    assert result.stdout.strip() == "chosen: None"
    assert not result.stderr
    result = choose("keras-capi", hidden=["torch"])
    assert "torch: not installed" in result.stderr
    assert result.stdout.strip() == "chosen: tensorflow"
    home = {"KERAS_HOME": "~", "HOME": str(tmp_path)}
    result = choose("keras-capi", hidden=["torch"], **home)
    assert "torch: not installed" in result.stderr
    path.write_text("not JSON")
    assert "Using tensorflow" in choose("keras-capi").stderr


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["--backend", "jax"], {"hidden": ["jax"]}, "keras-capi[jax]"),
        (["--help"], {"hidden": sorted(BACKENDS)}, "no backend"),
        ([], {"KERAS_BACKEND": "theano"}, "Received: theano, in KERAS_BACKEND"),
    ],
    ids=str,
)
def test_errors_of_the_command_are_one_line(
    choose, arguments, options, message
):
    result = choose("keras-capi", *arguments, **options)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_broken_installations_are_passed_over(choose):
    result = choose("keras-capi", broken=["tensorflow"])
    assert result.stdout.strip() == "chosen: jax"
    assert "built for another version" in result.stderr


def test_programs_keep_what_they_asked_for(choose):
    # With the error of Keras, which names the module.
    result = choose("program.py", hidden=["jax"], KERAS_BACKEND="jax")
    assert result.stdout.strip() == "chosen: jax"
    result = choose("program.py", hidden=["tensorflow"])
    assert result.stdout.strip() == "chosen: jax"
    assert "Using jax" in result.stderr
    assert choose("program.py").stdout.strip() == "chosen: None"
