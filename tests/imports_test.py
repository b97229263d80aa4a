"""Rules of the whole package that no single module shows."""

import ast
import os
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_capi

PACKAGE = pathlib.Path(keras_capi.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}

# What each part may import of the package, beside itself and what all share:
# `ops` <- `layers` <- `saving` <- `fitting` <- `encoders`, `decoders` <-
# `training` <- `methods`, `tasks` <- what uses models.
SHARED = {"backend", "optional_imports", "paths", "validation", "version"}
BELOW_ENCODERS = {"ops", "layers", "saving", "fitting"}
NETWORKS = BELOW_ENCODERS | {"encoders", "decoders"}
ALLOWED = {
    "backend": set(),
    "backend_choice": set(),
    "optional_imports": set(),
    "paths": set(),
    "validation": set(),
    "version": set(),
    "ops": set(),
    "layers": {"ops"},
    "saving": {"layers"},
    "fitting": {"saving"},
    "encoders": NETWORKS,
    "decoders": NETWORKS,
    "tokenizers": BELOW_ENCODERS,
    "training": NETWORKS,
    "methods": NETWORKS | {"training", "optimizers", "tokenizers"},
    "tasks": NETWORKS | {"optimizers"},
    "optimizers": {"ops"},
    "data": {"layers", "ops"},
    "convert": {"encoders", "methods", "ops", "saving", "tokenizers"},
    "presets": {"convert", "encoders", "saving"},
    "features": {"data", "tasks"},
    "evaluation": {"layers", "ops", "optimizers"},
    "visualization": {"encoders", "evaluation", "layers", "ops"},
    "callbacks": {"evaluation", "fitting", "saving", "visualization"},
    "recipes": NETWORKS | {"callbacks", "data", "methods", "optimizers"},
}
# The shelf of names, the command line and the package itself see all.
SEE_ALL = {"__init__", "__main__", "cli", "models"}
# What stands at the bottom, and knows nothing of the rest.
ALONE = SHARED | {"backend_choice"}

# Everything else is optional, and imported where it is used. Keras needs h5py.
REQUIRED = {"keras", "numpy", "h5py", "keras_capi"}

BACKENDS = {"jax", "tensorflow", "torch"}
OPTIONAL = {
    "PIL",
    "datasets",
    "grain",
    "matplotlib",
    "pandas",
    "safetensors",
    "skimage",
    "sklearn",
    "tensorflow_datasets",
    "torchvision",
    "yaml",
}


def imported_names(tree):
    """Dotted names of everything that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def top_level(tree):
    """A module without the bodies of its functions."""
    tree = ast.Module(list(tree.body), [])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = []
    return tree


def parse(file):
    return ast.parse(FILES[file].read_text())


def listed_names(file):
    """What the `__all__` of a folder lists."""
    named = [
        node.value
        for node in parse(file).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and "__all__" in ast.unparse(node)
    ]
    assert len(named) == 1
    return ast.literal_eval(named[0])


def test_finds_the_package():
    assert {
        "__init__.py",
        "backend/gathering.py",
        "ops/clustering/sinkhorn.py",
    } <= set(FILES)


@pytest.mark.parametrize("file", sorted(FILES))
def test_imports_point_one_way(file):
    part = file.split("/")[0].removesuffix(".py")
    if part in SEE_ALL:
        return
    assert part in ALLOWED, f"say in `ALLOWED` what {part} may import"
    own = {
        name.split(".")[1]
        for name in imported_names(parse(file))
        if name.startswith("keras_capi.")
    }
    shared = set() if part in ALONE else SHARED
    assert own <= {part} | ALLOWED[part] | shared


@pytest.mark.parametrize(
    "file", [file for file in sorted(FILES) if file.endswith("__init__.py")]
)
def test_packages_say_what_is_public(file):
    tree = parse(file)
    public = listed_names(file)
    assert public == sorted(set(public))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }
    called = {"choose_backend", "share_heap"} - set(public)
    assert (imported | assigned) - called - {"__all__"} == set(public)


@pytest.mark.parametrize("part", ["evaluation", "layers", "ops"])
def test_folders_list_all_that_is_public_of_them(part):
    """Unless they list nothing."""
    listed = set(listed_names(f"{part}/__init__.py"))
    for name in imported_names(parse(f"{part}/__init__.py")):
        _, _, folder, *_, public = name.split(".")
        file = f"{part}/{folder}/__init__.py"
        if public in listed and file in FILES and listed_names(file):
            assert public in listed_names(file), file


@pytest.mark.parametrize("file", sorted(FILES))
def test_optional_packages_are_imported_where_they_are_used(file):
    commands = ("app", "commands", "evaluate", "visualize")
    if file in [f"cli/{name}.py" for name in commands]:
        # Themselves imported by `main` alone, once it has looked for typer.
        return
    names = imported_names(top_level(parse(file)))
    packages = {name.split(".")[0] for name in names}
    assert packages <= REQUIRED | set(sys.stdlib_module_names)


@pytest.mark.parametrize("file", sorted(FILES))
def test_backends_differ_in_one_folder(file):
    # The command line alone chooses a backend, before Keras is imported.
    if file.split("/")[0] in ("backend", "cli"):
        return
    tree = parse(file)
    packages = {name.split(".")[0] for name in imported_names(tree)}
    assert not packages & BACKENDS
    compared = {
        constant.value
        for comparison in ast.walk(tree)
        if isinstance(comparison, ast.Compare)
        for constant in ast.walk(comparison)
        if isinstance(constant, ast.Constant)
    }
    assert not compared & BACKENDS


@pytest.mark.parametrize("file", sorted(FILES))
def test_files_are_short(file):
    assert len(FILES[file].read_text().splitlines()) <= 300


@pytest.mark.parametrize("file", sorted(FILES))
def test_errors_are_raised_not_asserted(file):
    # `python -O` removes assertions.
    nodes = ast.walk(parse(file))
    assert not any(isinstance(node, ast.Assert) for node in nodes)


def test_import_is_light():
    """Importing the package loads no other backend and no optional package.

    Keras itself loads some of them if they are installed: Pillow, matplotlib
    and scikit-learn on every backend, and through scikit-learn's SciPy, which
    looks for array libraries, JAX on TensorFlow and torch. So what counts is
    what comes on top of `import keras`; that TensorFlow and torch are not
    loaded beside another backend holds for Keras too.
    """
    program = """
import sys
import keras
before = set(sys.modules)
import keras_capi
added = {name.split(".")[0] for name in set(sys.modules) - before}
print("added:", *added)
print("loaded:", *{name.split(".")[0] for name in sys.modules})
"""
    backend = keras.backend.backend()
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(PACKAGE.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = dict(
        line.split(":", 1)
        for line in result.stdout.splitlines()
        if line.startswith(("added:", "loaded:"))
    )
    added, loaded = (set(lines[key].split()) for key in ("added", "loaded"))
    assert "keras_capi" in added
    assert not added & (BACKENDS | OPTIONAL)
    assert not loaded & ({"tensorflow", "torch"} - {backend})
