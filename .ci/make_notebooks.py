"""Makes the notebooks in `examples/notebooks` from the scripts beside them.

    python .ci/make_notebooks.py
    python .ci/make_notebooks.py explore_patch_features
    python .ci/make_notebooks.py --text-only

Runs each in a kernel of its own, in an empty folder, and keeps its outputs.
`--text-only` takes the outputs of the former notebook, which must have the same
code.
"""

import argparse
import base64
import io
import os
import pathlib
import re
import tempfile
import time

import jupytext
import nbclient
import nbformat
from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "examples" / "notebooks"
METADATA = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}
TIMEOUT = 1200  # seconds for a cell


def make_notebook(script):
    """Returns the notebook of a script, with ids that do not change."""
    notebook = jupytext.read(script)
    notebook.metadata = nbformat.from_dict(METADATA)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index}"
        cell.metadata = nbformat.from_dict({})
    return notebook


def run(notebook):
    """Runs a notebook in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            clean(output, folder)
    # What the kernel says of itself differs between machines.
    notebook.metadata = nbformat.from_dict(METADATA)


def take_outputs(notebook, former):
    """Gives the cells of a notebook the outputs that they have in another."""
    cells, others = (
        [cell for cell in x.cells if cell.cell_type == "code"]
        for x in (notebook, former)
    )
    if [cell.source for cell in cells] != [cell.source for cell in others]:
        raise SystemExit("The code has changed: run without --text-only.")
    for cell, other in zip(cells, others, strict=True):
        cell.outputs = other.outputs
        cell.execution_count = other.execution_count


def clean(output, folder):
    """Removes from an output what concerns the machine, and shrinks it."""
    if "metadata" in output:
        output.metadata = nbformat.from_dict({})
    if "text" in output:
        text = output["text"].replace(f"{ROOT}{os.sep}", "")
        output["text"] = as_shown(text.replace(folder, "."))
    if "image/png" in output.get("data", {}):
        output["data"]["image/png"] = shrink(output["data"]["image/png"])


def as_shown(text):
    """Returns text without colours, and of progress bars the last state."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    lines = [
        re.split("[\r\b]", line.rstrip("\r\b"))[-1] for line in text.split("\n")
    ]
    return "\n".join(line.rstrip() for line in lines)


def shrink(encoded):
    """Returns a PNG with a palette of 256 colours, a third of the size."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    picture = picture.quantize(256, dither=Image.Dither.NONE)
    file = io.BytesIO()
    picture.save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main(names, text_only):
    # The package of this checkout, whichever is installed.
    os.environ["PYTHONPATH"] = str(ROOT)
    # Else TensorFlow tells of the machine's processor, wherever it is imported.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    for script in sorted(FOLDER.glob("*.py")):
        if names and script.stem not in names:
            continue
        start = time.perf_counter()
        notebook = make_notebook(script)
        path = script.with_suffix(".ipynb")
        if text_only:
            take_outputs(notebook, nbformat.read(path, as_version=4))
        else:
            run(notebook)
        nbformat.write(notebook, path)
        seconds = time.perf_counter() - start
        size = path.stat().st_size / 1000
        print(f"{path.name}: {seconds:.0f} s, {size:.0f} kB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="scripts, without .py")
    parser.add_argument("--text-only", action="store_true")
    main(**vars(parser.parse_args()))
