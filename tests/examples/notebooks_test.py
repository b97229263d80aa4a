"""The notebooks: each is what its script makes, ran, and runs again."""

import importlib.util
import re

import keras
import nbformat
import pytest
from examples.run_example import ROOT
from examples.run_example import run_example

FOLDER = ROOT / "examples" / "notebooks"
BACKEND = keras.backend.backend()
# Where each is run by the tests, as all of them everywhere take too long.
BACKENDS = {
    "evaluate_and_fine_tune": ("torch",),
    "explore_patch_features": ("tensorflow",),
    "pretrain_on_your_photos": ("torch",),
    "train_with_jax": ("jax",),
}
NAMES = sorted(BACKENDS)
COLAB = (
    "https://colab.research.google.com/github/keras-capi/keras-capi/blob/main/"
)
REPOSITORY = re.escape("git+https://github.com/keras-capi/keras-capi")
MAX_SIZE = 600_000  # bytes


def load_generator():
    path = ROOT / ".ci" / "make_notebooks.py"
    spec = importlib.util.spec_from_file_location("make_notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_all_are_tested():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_is_what_its_script_makes(name):
    """Fails after a change of the script alone: run `make notebooks`."""
    made = load_generator().make_notebook(FOLDER / f"{name}.py")
    kept = read(name)
    assert kept.metadata == made.metadata
    assert [(x.id, x.cell_type, x.source) for x in kept.cells] == [
        (x.id, x.cell_type, x.source) for x in made.cells
    ]


@pytest.mark.parametrize("name", NAMES)
def test_ran_from_top_to_bottom(name):
    notebook = read(name)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    kinds = {output.output_type for output in outputs}
    assert "stream" in kinds
    assert "error" not in kinds
    assert (FOLDER / f"{name}.ipynb").stat().st_size < MAX_SIZE


@pytest.mark.parametrize("name", sorted({*NAMES} - {"train_with_jax"}))
def test_shows_pictures(name):
    outputs = [x for cell in code_cells(read(name)) for x in cell.outputs]
    pictures = [x for x in outputs if "image/png" in x.get("data", {})]
    assert len(pictures) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_says_nothing_of_the_machine(name):
    outputs = [x for cell in code_cells(read(name)) for x in cell.outputs]
    text = "".join(x.get("text", "") for x in outputs)
    assert not re.search(r"/(home|root|tmp|usr|opt|work)/", text)


@pytest.mark.parametrize("name", NAMES)
def test_begins_like_the_examples_of_keras(name):
    heading = read(name).cells[0].source
    assert re.match(r"# \w.+\n", heading)
    assert "[![Open in Colab][badge]][notebook]" in heading
    path = f"examples/notebooks/{name}.ipynb"
    assert heading.endswith(f"[notebook]: {COLAB}{path}")
    for field, value in (
        ("Author", r"\w"),
        ("Date created", r"\d{4}/\d\d/\d\d<br>"),
        ("Last modified", r"\d{4}/\d\d/\d\d<br>"),
        ("Description", r"\w"),
        ("Accelerator", r"\w"),
    ):
        assert re.search(rf"\*\*{field}:\*\* {value}", heading), field


@pytest.mark.parametrize("name", NAMES)
def test_first_cell_installs_and_picks_the_backend(name):
    cell = code_cells(read(name))[0].source
    # From the repository: the package need not be on an index.
    assert re.search(rf'"keras-capi\[jax[\w,]*\] @ {REPOSITORY}"', cell)
    assert 'os.environ.setdefault("KERAS_BACKEND", "jax")' in cell
    assert "import keras\n" not in cell


@pytest.mark.parametrize("name", NAMES)
def test_long_trainings_show_progress(name):
    """By Keras's bar, a line for each epoch, or one of the notebook's own."""
    trainings = [
        cell
        for cell in code_cells(read(name))
        if re.search(r"\.fit\(\s*(crops|dataset|make_dataset)", cell.source)
    ]
    assert trainings
    for cell in trainings:
        if "on_epoch_end" not in cell.source:
            assert not re.search(r"\.fit\([^)]*verbose=0", cell.source)
        # No state of a bar but the last one.
        for output in cell.outputs:
            assert not set("\r\b\x1b") & set(output.get("text", ""))


@pytest.mark.parametrize(
    "name", [name for name in NAMES if BACKEND in BACKENDS[name]]
)
def test_script_runs(name, tmp_path, monkeypatch):
    """In the small setting, as a plain script."""
    # A notebook sets flags where there are none.
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    finished = run_example(
        f"notebooks/{name}.py", tmp_path, OMP_NUM_THREADS="1", QUICK="1"
    )
    assert "nan" not in finished.stdout
