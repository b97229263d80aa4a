"""`keras-capi pretrain` in the processes that `torchrun` starts."""

import csv

import keras
import numpy as np
import pytest
from distribution.run_two_processes import run_two_processes
from PIL import Image

from keras_capi import backend
from keras_capi.recipes import load_recipe
from keras_capi.recipes import pretrain

# What makes the demo recipe as small as it can be, with a batch an epoch.
SMALL = [
    "data.image_size=16",
    "data.batch_size=8",
    "backbone.patch_size=4",
    "backbone.num_layers=1",
    "backbone.predictor_num_layers=1",
    "backbone.hidden_dim=16",
    "backbone.num_heads=2",
    "backbone.drop_path_rate=0.0",
    "clustering.num_clusters=8",
    "clustering.queue_size=8",
    "training.epochs=2",
]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(8):
        pixels = generator.integers(0, 256, (20, 30, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.mark.skipif(
    keras.backend.backend() != "torch",
    reason="`torchrun` is for torch; the other backends are refused",
)
def test_two_processes_train_one_model(photos, tmp_path):
    out = tmp_path / "run"
    command = ["-m", "keras_capi", "pretrain", photos, "--recipe", "demo"]
    command += ["--out", out]
    for setting in SMALL:
        command += ["--set", setting]
    printed = run_two_processes(*command, timeout=300)
    # The first one alone prints and writes.
    assert printed.count(f"Wrote {out / 'model.keras'}") == 1
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints",
        "history.csv",
        "model.keras",
        "pictures.npy",
        "recipe.yaml",
    ]
    with open(out / "history.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    assert load_recipe(out / "recipe.yaml")["data"]["share"] == [0, 1]

    model = keras.saving.load_model(out / "model.keras")
    # Each epoch has one batch of both processes' images.
    assert int(model.optimizer.iterations) == 2
    again = run_two_processes(*command, timeout=300)
    assert again.count("Already finished: epoch 2") == 1


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch has process groups"
)
def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    rule = "`torchrun` starts several processes for torch alone"
    with (
        pytest.raises(ValueError, match=rule),
        backend.launched_processes(),
    ):
        pass


def test_processes_share_a_batch_equally(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "num_processes", lambda: 3)
    recipe = load_recipe("demo", SMALL)
    recipe["images"] = str(photos)
    with pytest.raises(ValueError, match="data.batch_size=8, 3 processes"):
        pretrain(recipe, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()
