"""Every example of a docstring runs, and gives what it says."""

import ast
import doctest
import importlib
import pathlib

import keras
import numpy as np
import pytest

import keras_capi
from docs import world

pytestmark = pytest.mark.usefixtures("untraced")

PACKAGE = pathlib.Path(keras_capi.__file__).parent

# Examples that take more than a machine without a network has.
NOT_RUN = {
    "convert/image_gpt_checkpoint.py:load_image_gpt_checkpoint": (
        "needs files of 300 MB"
    ),
    "saving/preset.py:from_preset": "downloads 1.8 GB",
    "convert/torch_weights.py:load_torch_weights": "needs a file of 1.3 GB",
}
# Examples of what one backend has.
BACKENDS = {"methods/capi.py:get_layout_map": "jax"}
# Statements that do, in examples of which the rest runs.
NOT_RUN_STATEMENTS = {"tfds:mnist": "downloads MNIST"}
# Their own labels and features differ from those of other examples.
OWN_NAMES = {
    "evaluation/probes/train_probes.py:train_probes": {
        "labels": np.arange(160) % 10
    },
}


def find_examples():
    examples = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                text = ast.get_docstring(node) or ""
                if ">>>" in text:
                    name = f"{path.relative_to(PACKAGE)}:{node.name}"
                    examples[name] = (path, text)
    return examples


EXAMPLES = find_examples()


def test_tables_are_up_to_date():
    assert len(EXAMPLES) > 70
    for table in (NOT_RUN, BACKENDS, OWN_NAMES):
        assert not table.keys() - EXAMPLES.keys()
    everything = "".join(text for _, text in EXAMPLES.values())
    assert all(part in everything for part in NOT_RUN_STATEMENTS)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - NOT_RUN.keys()))
def test_example_runs(name, example_files, tmp_path, monkeypatch):
    backend = keras.backend.backend()
    if backend == "jax" and name not in BACKENDS:
        # It compiles each of their operations by itself, which takes minutes.
        pytest.skip("Torch and TensorFlow run the examples.")
    if BACKENDS.get(name, backend) != backend:
        pytest.skip(f"What it shows exists on {BACKENDS[name]} only.")
    path, text = EXAMPLES[name]
    world.copy_files(example_files, tmp_path)
    monkeypatch.chdir(tmp_path)
    module = path.relative_to(PACKAGE.parent).with_suffix("")
    examples = doctest.DocTestParser().get_examples(text)
    source = "".join(example.source for example in examples)
    namespace = {
        **vars(importlib.import_module(".".join(module.parts))),
        **world.make_namespace(source),
        **OWN_NAMES.get(name, {}),
    }
    for example in examples:
        if any(part in example.source for part in NOT_RUN_STATEMENTS):
            continue
        source = world.shorten(example.source)
        tree = ast.parse(source)
        last = tree.body[-1]
        if not example.want or not isinstance(last, ast.Expr):
            exec(compile(tree, name, "exec"), namespace)
            continue
        expression = compile(ast.Expression(last.value), name, "eval")
        value = eval(expression, namespace)
        assert repr(value) == example.want.strip()
