"""Recipes, and trainings with them from the command line."""

import os
import pathlib
import signal
import tarfile

import keras
import numpy as np
import pytest
import yaml
from backend_helpers import on_one_backend
from PIL import Image
from typer.testing import CliRunner

import keras_capi
from keras_capi.cli.commands import app
from keras_capi.recipes import list_recipes
from keras_capi.recipes import load_recipe
from keras_capi.recipes import make_model
from keras_capi.recipes import pretrain
from keras_capi.recipes import propose_settings
from keras_capi.recipes.check_recipe import with_defaults
from keras_capi.recipes.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("untraced")

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


once = on_one_backend(
    "How numbers follow from numbers does not depend on the backend."
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(9):
        pixels = generator.integers(0, 256, (20, 30, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_packages_recipes_make_models():
    assert list_recipes() == [
        "aim_base",
        "aim_small",
        "base",
        "beit_base",
        "beit_small",
        "colorization_base",
        "colorization_small",
        "context_encoder_base",
        "context_encoder_small",
        "data2vec2_base",
        "data2vec2_small",
        "data2vec_base",
        "data2vec_small",
        "deepcluster_base",
        "deepcluster_small",
        "deepcluster_v1_base",
        "deepcluster_v1_small",
        "demo",
        "denoising_autoencoder_base",
        "denoising_autoencoder_small",
        "dino_base",
        "dino_small",
        "dinov2_base",
        "dinov2_small",
        "discrete_vae_small",
        "ibot_base",
        "ibot_small",
        "ijepa_base",
        "ijepa_small",
        "image_gpt_base",
        "image_gpt_small",
        "mae_base",
        "mae_small",
        "paper_large",
        "relative_position_base",
        "relative_position_small",
        "rotation_base",
        "rotation_small",
        "simclr_base",
        "simclr_small",
        "simmim_base",
        "simmim_small",
        "small",
        "swav_base",
        "swav_small",
    ]
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
    message = str(result.exception)
    assert "must have the run of only one recipe" in message
    assert "training.epochs is 3, was missing" in message
    assert "backbone" not in message


def test_the_written_recipe_says_everything(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    recipe = load_recipe("demo", [*SMALL, "training.steps=1"])
    recipe["images"] = pathlib.Path("photos")
    pretrain(recipe, "run", verbose=0)
    path = photos.parent / "run" / "recipe.yaml"
    written = yaml.safe_load(path.read_text())
    assert written["images"] == str(photos)
    assert written == {**with_defaults(recipe), "images": str(photos)}
    # What was written under a version with other defaults goes on.
    assert load_recipe(path) == written
    pretrain(load_recipe(path), "run", verbose=0)


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_are_steps(photos, tmp_path, steps):
    """An epoch has two batches."""
    recipe = load_recipe("demo", [*SMALL, f"training.steps={steps}"])
    recipe["images"] = str(photos)
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    assert int(model.optimizer.iterations) == steps
    _, schedule = model.optimizer.learning_rate, model.optimizer.get_config()
    schedule = schedule["learning_rate"]["config"]
    assert schedule["total_steps"] == steps
    # Once more: it is finished.
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    assert int(model.optimizer.iterations) == steps


@pytest.fixture(scope="module")
def uninterrupted(photos, tmp_path_factory):
    """A recipe of five steps, and the weights after them."""
    recipe = load_recipe("demo", [*SMALL, "training.steps=5"])
    recipe["images"] = str(photos)
    model = pretrain(recipe, tmp_path_factory.mktemp("whole"), verbose=0)
    return recipe, model.get_weights()


@pytest.mark.parametrize("stopped_after", [2, 3, 5])
def test_steps_are_steps_after_an_interruption(
    uninterrupted, tmp_path, monkeypatch, stopped_after
):
    recipe, expected = uninterrupted

    class Interrupt(keras.callbacks.CSVLogger):
        num_steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.num_steps += 1
            if self.num_steps == stopped_after:
                os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(keras.callbacks, "CSVLogger", Interrupt)
        with pytest.raises(SystemExit):
            pretrain(recipe, tmp_path / "run", verbose=0)
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    assert int(model.optimizer.iterations) == 5
    for weight, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(weight, other)


class Broken(list):
    """Images that cannot be had, once the training wants them."""

    def __getitem__(self, index):
        raise RuntimeError("the disk is gone")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clustering": {"num_clusters": "many"}}, "num_clusters"),
        ({"data": {"image_size": 18, "batch_size": 4}}, "patch_size"),
        ({"data": {"image_size": 16, "batch_size": 99}}, "batch_size=99"),
        ({"images": Broken([0] * 9)}, "the disk is gone"),
    ],
    ids=str,
)
def test_a_failed_start_leaves_nothing(photos, tmp_path, changes, message):
    recipe = load_recipe("demo", SMALL)
    recipe["images"] = str(photos)
    wrong = {
        **recipe,
        **{
            name: {**recipe[name], **value}
            if isinstance(value, dict)
            else value
            for name, value in changes.items()
        },
    }
    out = tmp_path / "run"
    with pytest.raises((ValueError, RuntimeError), match=message):
        pretrain(wrong, out, verbose=0)
    assert not (out / "recipe.yaml").exists()
    pretrain(recipe, out, verbose=0)
    assert (out / "model.keras").is_file()


def test_a_killed_start_is_no_run(photos, tmp_path):
    recipe = load_recipe("demo", SMALL)
    recipe["images"] = str(photos)
    folder = RunFolder(tmp_path / "run")
    folder.begin({**recipe, "ema_momentum": 0.5})
    pretrain(recipe, folder.path, verbose=0)
    written = yaml.safe_load((folder.path / "recipe.yaml").read_text())
    assert written["ema_momentum"] == 0.98


def test_a_recipe_that_somebody_wrote_is_kept(photos, tmp_path):
    path = tmp_path / "recipe.yaml"
    recipe = load_recipe("demo", SMALL)
    text = "# Mine\n" + yaml.safe_dump({**recipe, "images": str(photos)})
    path.write_text(text)
    other = load_recipe(path, ["ema_momentum=0.5"])
    with pytest.raises(ValueError, match="ema_momentum is 0.5, was 0.98"):
        pretrain(other, tmp_path)
    broken = {**load_recipe(path), "images": Broken([0] * 9)}
    with pytest.raises(ValueError, match="images is None"):
        pretrain(broken, tmp_path)
    pretrain(load_recipe(path), tmp_path, verbose=0)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text", ["", "backbone: {num_layers: 2}", "name: not of this package"]
)
def test_a_file_that_is_not_a_recipe_is_named(photos, tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    recipe = {**load_recipe("demo", SMALL), "images": str(photos)}
    with pytest.raises(ValueError, match=f"{path}"):
        pretrain(recipe, tmp_path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("num_images", "settings", "expected"),
    [
        (9, [], 16),
        pytest.param(600, [], 32, marks=once),
        pytest.param(9, ["clustering.num_clusters=8"], 8, marks=once),
    ],
)
def test_clusters_follow_from_the_number_of_images(
    tmp_path, monkeypatch, capsys, num_images, settings, expected
):
    """By the rule of `propose_settings`."""
    settings = [*SMALL[:6], "training.steps=1", *settings]
    recipe = load_recipe("small", settings)
    recipe["images"] = np.zeros((num_images, 16, 16, 3), "uint8")
    model = pretrain(recipe, tmp_path / "run", verbose=0)
    assert model.clustering.num_clusters == expected
    written = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert written["clustering"]["num_clusters"] == expected
    if not any("num_clusters" in setting for setting in settings):
        proposed = propose_settings(num_images, 64, 10_000, 64)
        assert proposed["num_clusters"] == expected
        assert (
            f"{expected} clusters for {num_images}" in capsys.readouterr().out
        )


def test_images_on_the_command_line(photos, tmp_path):
    options = [part for setting in SMALL for part in ("--set", setting)]
    options += ["--set", "training.steps=1", "--recipe", "demo"]
    for index, images in enumerate(
        [[photos], [photos / f"{i}.png" for i in range(5)]]
    ):
        out = tmp_path / str(index)
        result = run("pretrain", *images, "--out", out, *options)
        assert result.exit_code == 0, result.output
        written = yaml.safe_load((out / "recipe.yaml").read_text())["images"]
        names = [str(image) for image in images]
        assert written == (names[0] if len(names) == 1 else names)
    result = run("pretrain", photos, "--images", photos, *options)
    assert "either before the options or by --images" in str(result.exception)


def test_tar_files(photos, tmp_path):
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as archive:
        archive.add(photos)
    options = [part for setting in SMALL for part in ("--set", setting)]
    options += ["--set", "training.steps=1", "--recipe", "demo"]
    out = tmp_path / "run"
    result = run("pretrain", shard, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert np.load(out / "pictures.npy").shape == (9, 16, 16, 3)
    shard.write_bytes(shard.read_bytes()[:3000])
    result = run("pretrain", shard, "--out", tmp_path / "again", *options)
    assert isinstance(result.exception, ValueError)
    assert str(shard) in str(result.exception)
    assert not (tmp_path / "again").exists()


@once
@pytest.mark.filterwarnings("ignore:Skipped")
def test_pictures_are_read_as_the_images_of_the_training(tmp_path):
    """The report looks at them: 12 bits of 16 would be black."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(4):
        pixels = np.full((20, 20), 2048 + index, "uint16")
        Image.fromarray(pixels).save(photos / f"{index}.png")
    for index in range(4, 6):
        (photos / f"{index}.png").write_bytes(b"damaged")
    options = ["training.steps=1", "data.white_level=4095"]
    recipe = load_recipe("demo", [*SMALL, *options, "data.max_skipped=0.5"])
    pretrain({**recipe, "images": str(photos)}, tmp_path / "run", verbose=0)
    assert set(np.load(tmp_path / "run" / "pictures.npy").ravel()) == {128}


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
    with pytest.raises(ValueError, match="one of aim_base, .*demo.*nothing"):
        load_recipe("nothing")
    with pytest.raises(ValueError, match=r"section.setting=value.*layers=3"):
        load_recipe("demo", ["layers=3"])
    with pytest.raises(ValueError, match=r"one of .*, ema_momentum, .*steps=3"):
        load_recipe("demo", ["steps=3"])
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
