"""The command `evaluate`, as a user calls it."""

import functools
import json
import shutil

import keras
import numpy as np
import pytest
from cli.run_command import SIZE
from cli.run_command import run_command
from cli.run_command import save_run
from PIL import Image

import keras_capi

run = functools.partial(run_command, "evaluate")


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run's folder."""
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Dark, middling and bright images; the test has no dark ones."""
    folder = tmp_path_factory.mktemp("classes")
    generator = np.random.default_rng(0)
    for split, names, count in (
        ("train", ("a", "b", "c"), 16),
        ("test", ("b", "c"), 4),
    ):
        for name in names:
            low = {"a": 0, "b": 100, "c": 200}[name]
            for index in range(count):
                pixels = generator.integers(low, low + 50, (20, 20, 3))
                save(folder / split / name / f"{index}.png", pixels)
    return folder


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Images whose dark left has label 0, and whose bright right label 1."""
    folder = tmp_path_factory.mktemp("masks")
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 3)):
        for index in range(count):
            pixels = generator.integers(0, 50, (SIZE, SIZE, 3))
            mask = np.zeros((SIZE, SIZE))
            edge = 4 * generator.integers(1, 4)
            pixels[:, edge:] += 200
            mask[:, edge:] = 1
            save(folder / split / "images" / f"{index}.jpg", pixels)
            save(folder / split / "masks" / f"{index}.png", mask)
    return folder


def test_classification(model, classes, tmp_path):
    out = tmp_path / "new" / "scores.json"
    result = run(
        *("--model", model, "--train", classes / "train"),
        *("--test", classes / "test", "--protocols", "knn,linear,attentive"),
        *("--probe-steps", 60, "--probe-batch-size", 16, "--out", out),
    )
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert written["image_size"] == SIZE
    assert written["num_train_images"] == 48
    assert written["backend"] == keras.backend.backend()
    scores = {(x["protocol"], x["features"]): x for x in written["scores"]}
    assert set(scores) == {
        ("knn", "global"),
        ("knn", "average"),
        ("linear", "global"),
        ("linear", "average"),
        ("linear", "global+average"),
        ("attentive", "feature_map"),
    }
    # Labels of the test folder numbered on their own would all be wrong.
    assert scores["knn", "average"]["accuracy"] == 1.0
    assert set(scores["attentive", "feature_map"]["chosen"]) == {
        "learning_rate",
        "weight_decay",
    }

    images, labels, _ = keras_capi.data.load_labelled_images(
        classes / "train", SIZE
    )
    tests, test_labels, _ = keras_capi.data.load_labelled_images(
        classes / "test", SIZE
    )
    normalize = keras_capi.layers.ImageNetNormalization()
    teacher = keras.saving.load_model(model / "model.keras").teacher
    expected = keras_capi.evaluation.knn_classification(
        teacher.predict(normalize(images), verbose=0)["global"],
        labels,
        teacher.predict(normalize(tests), verbose=0)["global"],
        test_labels + 1,
    )
    assert scores["knn", "global"]["accuracy"] == expected["accuracy"]
    assert scores["knn", "global"]["chosen"] == {
        "num_neighbors": expected["num_neighbors"],
        "metric": expected["metric"],
    }
    lines = result.output.splitlines()
    assert any(line.split()[:2] == ["protocol", "features"] for line in lines)
    assert any(line.startswith("knn        average") for line in lines)


def test_segmentation(model, masks, tmp_path):
    out = tmp_path / "scores.json"
    result = run(
        *("--model", model / "model.keras", "--protocols", "knn,logistic"),
        *("--train", masks / "train" / "images"),
        *("--train-masks", masks / "train" / "masks"),
        *("--test", masks / "test" / "images"),
        *("--test-masks", masks / "test" / "masks"),
        *("--ignore-labels", "7,255", "--out", out),
    )
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert written["ignore_labels"] == [7, 255]
    assert [x["protocol"] for x in written["scores"]] == ["knn", "logistic"]
    for score in written["scores"]:
        assert score["pixel_accuracy"] > 0.9
        assert score["mean_iou"] > 0.8
    assert "mean iou" in result.output


@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_warns_of_test_images_in_the_training(model, classes, masks, kind):
    arguments = {
        "classes": [
            *("--train", classes / "test", "--test", classes / "test"),
        ],
        "masks": [
            *("--train", masks / "train" / "images"),
            *("--train-masks", masks / "train" / "masks"),
            *("--test", masks / "train" / "images"),
            *("--test-masks", masks / "train" / "masks"),
        ],
    }[kind]
    with pytest.warns(UserWarning, match="test images that are"):
        result = run("--model", model, *arguments)
    assert result.exit_code == 0, result.output


def test_images_of_twelve_bits(model, tmp_path):
    """Taken for 16 they are nearly black, of which a warning tells."""
    generator = np.random.default_rng(0)
    for split, name, low in (
        (split, name, low)
        for split in ("train", "test")
        for name, low in (("dark", 100), ("bright", 3000))
    ):
        for index in range(6):
            pixels = generator.integers(low, low + 200, (SIZE, SIZE))
            path = tmp_path / split / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype("uint16")).save(path)
    knowing = shutil.copytree(model, tmp_path / "run")
    (knowing / "recipe.yaml").write_text("data: {white_level: 4095}\n")
    out = tmp_path / "scores.json"
    for name, options in ((model, ("--white-level", 4095)), (knowing, ())):
        result = run(
            *("--model", name, "--train", tmp_path / "train", "--out", out),
            *("--test", tmp_path / "test", *options),
        )
        assert result.exit_code == 0, result.output
        written = json.loads(out.read_text())
        assert written["white_level"] == 4095
        assert {score["accuracy"] for score in written["scores"]} == {1.0}


def test_a_preset_has_the_same_scores(model, classes, tmp_path):
    teacher = keras.saving.load_model(model / "model.keras").teacher
    teacher.save_to_preset(tmp_path / "preset")
    outputs = []
    for name in (model, tmp_path / "preset"):
        out = tmp_path / "scores.json"
        result = run(
            *("--model", name, "--train", classes / "train"),
            *("--test", classes / "test", "--out", out),
        )
        assert result.exit_code == 0, result.output
        outputs.append(json.loads(out.read_text()))
    assert outputs[0]["scores"] == outputs[1]["scores"]
    assert outputs[0]["image_size"] == outputs[1]["image_size"] == SIZE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--protocols": "knn,logistic"}, "one or more of knn, linear, att"),
        ({"--train-masks": "masks"}, "must be given together"),
        ({"--ignore-labels": "sky"}, "must be integers.*sky"),
        ({"--image-size": "3"}, "at least 4.*: 3"),
        ({"--train": "{test}", "--test": "{train}"}, "among.*1: a"),
        ({"--train": "{single}"}, "at least 2 classes.*with 1: b"),
        ({"--test": "missing"}, "existing folder.*missing"),
        ({"--model": "missing.keras"}, "must be a file missing.keras"),
        ({"--model": "missing"}, "A preset must be.*'missing'"),
        ({"--model": "{unfinished}"}, "end of the training"),
        (
            {"--protocols": "linear", "--probe-batch-size": "46"},
            "At least `--probe-batch-size` samples .* 48 .*-size=46",
        ),
        (
            {"--protocols": "attentive", "--probe-batch-size": "128"},
            "At least `--probe-batch-size` samples .* 48 .*-size=128",
        ),
        ({"--model": "{bad}"}, "`model.save` wrote.*damaged"),
        ({"--model": "{other}"}, "contain an encoder.*with Sequential"),
        ({"--model": "{unknown}"}, "must be of Keras or keras_capi"),
    ],
    ids=str,
)
def test_errors_say_the_rule(model, classes, tmp_path, changes, message):
    places = {"train": classes / "train", "test": classes / "test"}
    for name in ("bad", "other", "unknown"):
        places[name] = tmp_path / f"{name}.keras"
    places["bad"].write_text("not a model")
    places["single"] = tmp_path / "single"
    shutil.copytree(classes / "test" / "b", places["single"] / "b")
    places["unfinished"] = tmp_path
    (tmp_path / "recipe.yaml").write_text("images: photos")

    class Unknown(keras.layers.Layer):
        def call(self, x):
            return x

    for name, layer in (
        ("other", keras.layers.Dense(1)),
        ("unknown", Unknown()),
    ):
        keras.Sequential([keras.Input((2,)), layer]).save(places[name])
    options = {
        "--model": str(model),
        "--train": "{train}",
        "--test": "{test}",
        **changes,
    }
    result = run(
        *(
            part.format(**places)
            for option in options.items()
            for part in option
        )
    )
    assert isinstance(result.exception, ValueError)
    assert "\n" not in str(result.exception)
    with pytest.raises(ValueError, match=message):
        raise result.exception
