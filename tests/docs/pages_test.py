"""Every Python block of the pages runs, in order, on the backends it is for."""

import re

import keras
import pytest

from docs import world
from keras_capi.recipes import list_recipes

pytestmark = pytest.mark.usefixtures("untraced")

BACKEND = keras.backend.backend()
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Blocks that run on some backends only, found by a part of them.
BACKENDS = {
    "tf.distribute": "tensorflow",
    "torch.export": "torch",
    "RandAugment": "torch",  # all work, JAX compiles for long
    "MAE(encoder)  # or DINO": "torch",  # likewise
    'format="onnx"': "torch",  # JAX needs yet another package
}
# Blocks that need what a machine for tests does not have.
NOT_RUN = {
    "capi_vit_large_patch14_imagenet1k": "downloads 1.8 GB",
    "mae_visualize_vit_large": "needs a file of 1.3 GB",
    "dalle_tokenizer.keras": "needs a file of 215 MB",
    "import keras_hub": "an optional package, which the dev extra leaves out",
    "torch.distributed.init_process_group": "tests/distribution starts it",
    'format="openvino"': "OpenVINO is not installed; benchmarks/export.py",
    "keras.distribution.": "changes the whole process; tests/distribution",
}


def blocks_of(page):
    return BLOCK.findall(world.PAGES[page].read_text())


WITH_BLOCKS = [page for page in world.PAGES if blocks_of(page)]


def test_tables_are_up_to_date():
    everything = "".join(
        text for page in world.PAGES for text in blocks_of(page)
    )
    assert all(part in everything for part in (*NOT_RUN, *BACKENDS))


def test_schedules_follow_from_the_data():
    """A number of steps would be wrong for all data but the author's."""
    trainings = [
        block
        for page in world.PAGES
        for block in blocks_of(page)
        if "capi_optimizer(" in block and ".fit(" in block
    ]
    assert len(trainings) >= 2
    for block in trainings:
        assert "epochs * len(dataset)" in block
        assert not re.search(r"total_steps=\d", block)


def test_all_recipes_are_listed():
    listed = world.PAGES["docs/command_line.md"].read_text()
    rows = "".join(x for x in listed.splitlines() if x.startswith("| `"))
    missing = [x for x in list_recipes() if f"`{x}`" not in rows]
    assert not missing


def test_all_methods_are_where_others_are():
    """A page of a method is linked from those that list them all."""
    pages = [p for p in world.PAGES if p.startswith("docs/methods/")]
    pages = {p.rpartition("/")[2] for p in pages}
    for page in ("README.md", "docs/index.md", "docs/methods/index.md"):
        text = world.PAGES[page].read_text()
        others = {"index.md", "capi_ablations.md"}
        assert [x for x in pages - others if f"{x})" not in text] == []


@pytest.mark.parametrize("page", WITH_BLOCKS)
# The converters to ONNX warn of their own parts.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
# Keras's `RandAugment` on torch.
@pytest.mark.filterwarnings("ignore:.*Tensor.T is deprecated:UserWarning")
def test_blocks_run(page, example_files, tmp_path, monkeypatch):
    if BACKEND == "jax" and page.startswith("docs/methods/"):
        pytest.skip("It compiles for long; tests/methods trains all on it.")
    world.copy_files(example_files, tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of(page)
    namespace = world.make_namespace("".join(blocks))
    for number, block in enumerate(blocks):
        if any(part in block for part in NOT_RUN):
            continue
        if any(
            part in block and backend != BACKEND
            for part, backend in BACKENDS.items()
        ):
            continue
        if "tf." in block:
            import tensorflow

            namespace["tf"] = tensorflow
        source = world.shorten(block)
        exec(compile(source, f"{page}, block {number}", "exec"), namespace)
