import re

import numpy as np
from examples.run_example import run_example
from PIL import Image


def test_runs_on_own_images(tmp_path):
    """A user's folder: sizes below and above the crops, one corrupt file.

    Both are of one shape after resizing, for which features are compiled once.
    """
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    for index, shape in enumerate([(40, 32, 3), (400, 320, 3)]):
        pixels = generator.integers(0, 256, shape, "uint8")
        Image.fromarray(pixels).save(images / f"{index}.png")
    (images / "bad.jpg").write_text("no image")
    output = tmp_path / "new" / "output"
    run = run_example(
        *("pretrain_on_photos.py", tmp_path, "--images", images),
        *("--output", output, "--steps", 2),
    )
    assert "Skipped 1 of 3 images" in run.stderr
    loss = re.search(r"held-out crops: (\d+\.\d+) nats", run.stdout)
    ceiling = re.search(r"(\d+\.\d+), the entropy of the mean", run.stdout)
    assert 0 < float(loss[1]) < 10
    assert 0 < float(ceiling[1]) < np.log(64) + 0.01
    assert re.search(r"\d+ of 64", run.stdout)
    written = {path.name: path.stat().st_size for path in output.iterdir()}
    assert set(written) == {
        "model.keras",
        "training_curves.png",
        "features.png",
        "pictures.npy",
        "history.csv",
    }
    assert written.pop("history.csv") > 50
    assert min(written.values()) > 1000
    assert np.load(output / "pictures.npy").shape == (192, 64, 64, 3)
