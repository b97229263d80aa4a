"""Recipes, and trainings with them from the command line."""

import keras
import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import keras_capi
from keras_capi.cli.commands import app
from keras_capi.recipes import list_recipes
from keras_capi.recipes import load_recipe
from keras_capi.recipes import make_model
from keras_capi.recipes import pretrain

# What makes the demo recipe as small as it can be.
SMALL = [
    "data.image_size=16",
    "data.batch_size=4",
    "backbone.patch_size=4",
    "backbone.num_layers=1",
    "backbone.hidden_dim=16",
    "backbone.num_heads=2",
    "clustering.num_clusters=8",
    "clustering.queue_size=4",
    "training.steps=4",
]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(9):
        pixels = generator.integers(0, 256, (20, 30, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_packages_recipes_make_models():
    assert list_recipes() == ["base", "demo", "paper_large", "small"]
    for name in ("demo", "small"):
        model = make_model(load_recipe(name), 100)
        assert model.optimizer.built


def test_the_published_recipe_is_complete():
    recipe = load_recipe("paper_large")
    assert recipe["backbone"] == {
        "patch_size": 14,
        "num_layers": 24,
        "predictor_num_layers": 12,
        "hidden_dim": 1024,
        "num_heads": 16,
        "num_register_tokens": 16,
        "drop_path_rate": 0.2,
    }
    assert recipe["masking"] == {"mask_ratio": 0.65, "prediction_ratio": 0.05}
    assert recipe["ema_momentum"] == [1.0, 0.999, 1.0]
    assert recipe["data"]["batch_size"] == 16384
    assert recipe["training"]["steps"] == 500_000


def test_command_trains_and_its_recipe_does_the_same_again(photos, tmp_path):
    options = [part for setting in SMALL for part in ("--set", setting)]
    out = tmp_path / "run"
    result = run(
        *("pretrain", "--recipe", "demo", "--images", photos, "--out", out),
        *options,
    )
    assert result.exit_code == 0, result.output
    model = keras.saving.load_model(out / "model.keras")
    assert int(model.optimizer.iterations) == 4
    lines = (out / "history.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("epoch,")
    pictures = np.load(out / "pictures.npy")
    assert pictures.shape == (9, 16, 16, 3) and pictures.dtype == np.uint8
    text = (out / "recipe.yaml").read_text()
    heading = text.splitlines()[0]
    assert f"keras-capi {keras_capi.__version__} " in heading
    assert keras.backend.backend() in heading
    recipe = yaml.safe_load(text)
    assert recipe["images"] == str(photos)
    assert recipe["backbone"]["hidden_dim"] == 16

    again = tmp_path / "again"
    result = run("pretrain", "--recipe", out / "recipe.yaml", "--out", again)
    assert result.exit_code == 0, result.output
    for weight, expected in zip(
        keras.saving.load_model(again / "model.keras").get_weights(),
        model.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(weight, expected)
    assert run("report", out).exit_code == 0

    # Another recipe must not go on in the same folder.
    result = run(
        *("pretrain", "--recipe", out / "recipe.yaml", "--out", out),
        *("--epochs", 3),
    )
    assert "must have the run of one recipe" in str(result.exception)


def test_overrides():
    recipe = load_recipe(
        "small", ["training.epochs=20", "optimizer.learning_rate=1e-3"]
    )
    assert recipe["training"]["epochs"] == 20
    assert "steps" not in recipe["training"]
    assert recipe["optimizer"]["learning_rate"] == 1e-3
    assert (
        "epochs" not in load_recipe("small", ["training.steps=9"])["training"]
    )


def test_momentum_and_accumulation():
    recipe = load_recipe(
        "demo",
        [
            *SMALL,
            "optimizer.gradient_accumulation_steps=2",
            "ema_momentum=[1.0, 0.9, 1.0]",
        ],
    )
    model = make_model(recipe, 40)
    momentum = [float(model.ema_momentum(step)) for step in (0, 1, 2, 19)]
    assert momentum[0] == 1.0
    np.testing.assert_allclose(momentum[1:3], 0.9, atol=0.01)
    assert momentum[3] > 0.98


def test_bad_recipes(photos, tmp_path):
    with pytest.raises(ValueError, match="one of base, demo.*nothing"):
        load_recipe("nothing")
    with pytest.raises(ValueError, match=r"section.setting=value.*layers=3"):
        load_recipe("demo", ["layers=3"])
    with pytest.raises(ValueError, match=r"known settings.*num_layer'\]"):
        load_recipe("demo", ["backbone.num_layer=3"])
    with pytest.raises(ValueError, match=r"known settings.*model: \['model'\]"):
        load_recipe("demo", ["model.num_layers=3"])
    with pytest.raises(ValueError, match="`images` must be in the recipe"):
        pretrain(load_recipe("demo"), tmp_path)
    with pytest.raises(ValueError, match="must have all sections"):
        path = tmp_path / "part.yaml"
        path.write_text("data: {image_size: 32}")
        load_recipe(path)
    both = load_recipe("demo", [f"images={photos}"])
    both["training"]["epochs"] = 3
    with pytest.raises(ValueError, match="either steps or epochs"):
        pretrain(both, tmp_path)
