"""BEiT in two stages: a tokenizer, and an encoder that predicts its words."""

import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_vit
from helpers import to_numpy
from PIL import Image
from typer.testing import CliRunner

import keras_capi
from keras_capi.cli.commands import app
from keras_capi.recipes import load_recipe
from keras_capi.recipes import make_model
from keras_capi.recipes import pretrain

# What makes the small recipes as small as they can be.
SMALL = [
    "data.image_size=16",
    "data.batch_size=4",
    "training.steps=2",
]
TOKENIZER = [
    *SMALL,
    "patch_size=4",
    "vocabulary_size=8",
    "hidden_dim=4",
    "codebook_dim=4",
]
ENCODER = [
    *SMALL,
    "encoder.patch_size=4",
    "encoder.num_layers=1",
    "encoder.hidden_dim=16",
    "encoder.num_heads=2",
]
once = on_one_backend("How files are found does not depend on the backend.")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for index in range(8):
        pixels = generator.integers(0, 256, (20, 30, 3), "uint8")
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


def run(*arguments, settings=()):
    options = [part for setting in settings for part in ("--set", setting)]
    arguments = [*map(str, arguments), *options]
    return CliRunner().invoke(app, arguments)


def save_tokenizer(path):
    tokenizer = keras_capi.tokenizers.DALLETokenizer(8, 1, num_blocks=1)
    tokenizer.save(path)
    return tokenizer


def test_both_stages(photos, tmp_path):
    first = ("pretrain", "photos", "--recipe", "discrete_vae_small")
    result = run(*first, "--out", "tokenizer_run", settings=TOKENIZER)
    assert result.exit_code == 0, result.output
    tokenizer = keras.saving.load_model("tokenizer_run/model.keras")
    assert int(tokenizer.optimizer.iterations) == 2
    history = (tmp_path / "tokenizer_run" / "history.csv").read_text()
    assert {"temperature", "used_words"} <= set(
        history.split("\n")[0].split(",")
    )

    second = ("pretrain", "photos", "--recipe", "beit_small", "--out", "run")
    result = run(*second, settings=ENCODER)
    assert result.exit_code == 0, result.output
    path = tmp_path / "tokenizer_run" / "model.keras"
    written = load_recipe("run/recipe.yaml")
    assert written["tokenizer"] == str(path)
    model = keras.saving.load_model("run/model.keras")
    assert int(model.optimizer.iterations) == 2
    for weight, same in zip(
        model.tokenizer.get_weights(), tokenizer.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, same)
    for folder in ("tokenizer_run", "run"):
        result = run("report", folder)
        assert result.exit_code == 0, result.output


@once
def test_the_same_again(photos, tmp_path):
    save_tokenizer("words.keras")
    settings = [*ENCODER, "images=photos", "tokenizer=words.keras"]
    model = pretrain(load_recipe("beit_small", settings), "run", verbose=0)
    written = load_recipe("run/recipe.yaml")
    # Finished: trains no further.
    again = pretrain(written, "run", verbose=0)
    assert int(again.optimizer.iterations) == 2
    # From any folder, and from that of a run.
    (tmp_path / "tokenizer_run").mkdir()
    (tmp_path / "words.keras").rename(tmp_path / "tokenizer_run/model.keras")
    written["tokenizer"] = "tokenizer_run"
    other = pretrain(written, tmp_path / "again", verbose=0)
    np.testing.assert_array_equal(
        to_numpy(other.head.kernel), to_numpy(model.head.kernel)
    )


@once
def test_a_tokenizer_that_is_not_there(photos, tmp_path):
    recipe = load_recipe(
        "beit_small", [*ENCODER, "tokenizer=words/model.keras"]
    )
    # Before anything else is looked at.
    recipe["images"] = "nowhere"
    message = (
        rf"`tokenizer` must be .*tokenizer={tmp_path}/words/model.keras, which "
        r"is not there. `keras-capi pretrain IMAGES --recipe "
        r"discrete_vae_small --out tokenizer_run`.*tokenizer=tokenizer_run"
    )
    with pytest.raises(ValueError, match=message):
        pretrain(recipe, "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="which is not there"):
        make_model(recipe, 10)


@once
def test_what_is_no_tokenizer(photos, tmp_path):
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    make_vit().save("encoder.keras")
    for tokenizer, message in (
        ("damaged.keras", "`tokenizer` must be a file.*undamaged.*damaged"),
        ("encoder.keras", "a `keras_capi.tokenizers.Tokenizer`.*ViT"),
        ("3", "a `keras_capi.tokenizers.Tokenizer`.*int"),
    ):
        recipe = load_recipe(
            "beit_small",
            [*ENCODER, f"tokenizer={tokenizer}", "images=photos"],
        )
        with pytest.raises(ValueError, match=message):
            pretrain(recipe, "run")
        assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="must have all sections.*tokenizer"):
        recipe.pop("tokenizer")
        pretrain(recipe, "run")


@once
def test_another_tokenizer_is_another_run(photos):
    for name in ("a", "b"):
        save_tokenizer(f"{name}.keras")
    recipe = load_recipe(
        "beit_small", [*ENCODER, "images=photos", "tokenizer=a.keras"]
    )
    pretrain(recipe, "run", verbose=0)
    with pytest.raises(ValueError, match=r"tokenizer is .*b.keras, was .*a.ke"):
        pretrain({**recipe, "tokenizer": "b.keras"}, "run", verbose=0)


@once
def test_the_published_beit_is_complete(photos):
    recipe = load_recipe("beit_base")
    encoder = recipe["encoder"]
    assert encoder == load_recipe("simmim_base")["encoder"]
    assert recipe["masking"]["mask_ratio"] * 196 == 75
    assert recipe["data"]["batch_size"] == 2048
    assert recipe["data"]["scale"] == [0.08, 1.0]
    assert recipe["training"]["epochs"] == 800
    small = load_recipe("beit_small", ENCODER)
    save_tokenizer(recipe["tokenizer"])
    for name in ("tokenizer", "optimizer", "masking"):
        small[name] = recipe[name]
    model = make_model(small, 800)
    assert not model.tokenizer.trainable_variables
    assert model.masking.mask_ratio == 75 / 196
    config = model.optimizer.get_config()
    assert (config["clip_norm"], config["weight_decay"]) == (3.0, 0.05)
    rate = config["learning_rate"]["config"]
    assert (rate["base_value"], rate["warmup_steps"]) == (1.5e-3, 10)
    assert rate["final_value"] == 1e-5
