"""The command `visualize`, as a user calls it."""

import functools

import numpy as np
import pytest
from cli.run_command import run_command
from cli.run_command import save_run
from helpers import make_backbone
from helpers import make_vit
from PIL import Image

from keras_capi.cli import visualize as module
from keras_capi.encoders import ConvolutionalEncoder

run = functools.partial(run_command, "visualize")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run's folder."""
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("a/photo.png", "a/b.jpg", "c/photo.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (20, 33, 3), "uint8")
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


@pytest.fixture
def drawn(monkeypatch):
    """The columns of each picture, which is drawn all the same."""
    columns = []
    draw = module.picture_grid

    def picture_grid(given):
        columns.append(given)
        return draw(given)

    monkeypatch.setattr(module, "picture_grid", picture_grid)
    return columns


def test_one_picture(model, photos, tmp_path, drawn):
    out = tmp_path / "new" / "all.png"
    result = run(photos, "--model", model, "--out", out, "--num-images", 2)
    assert result.exit_code == 0, result.output
    assert "2 images" in result.output
    with Image.open(out) as picture:
        assert picture.format == "PNG"
    (columns,) = drawn
    assert list(columns) == [
        "image",
        "principal components",
        "clusters",
        "predictor",
        *(f"register {index}" for index in (1, 2, 3)),
    ]
    assert {len(column) for column in columns.values()} == {2}
    assert columns["image"][0].shape == (16, 16, 3)
    assert columns["image"][0].dtype == np.uint8
    assert columns["clusters"][0].shape == (4, 4, 3)
    assert columns["register 3"][1].shape == (4, 4)


def test_images_of_twelve_bits(model, tmp_path, drawn):
    pixels = np.full((16, 16), 2048, "uint16")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    result = run(
        *(tmp_path, "--model", model, "--out", tmp_path / "all.png"),
        *("--show", "components", "--white-level", 4095),
    )
    assert result.exit_code == 0, result.output
    assert set(drawn[0]["image"][0].ravel()) == {128}


def test_a_run_knows_what_was_white(tmp_path, drawn):
    run_folder = save_run(tmp_path)
    (tmp_path / "recipe.yaml").write_text("data: {white_level: 4095}\n")
    pixels = np.full((16, 16), 2048, "uint16")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    for model in (run_folder, run_folder / "model.keras"):
        result = run(
            *(tmp_path / "photo.png", "--model", model, "--show", "components"),
            *("--out", tmp_path / "all.png"),
        )
        assert result.exit_code == 0, result.output
    assert [set(x["image"][0].ravel()) for x in drawn] == [{128}, {128}]


def test_a_folder_of_pictures(model, photos, tmp_path, drawn):
    out = tmp_path / "pictures"
    result = run(
        *(photos, "--model", model, "--out", out, "--image-size", 0),
        *("--show", "components,predictor"),
    )
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in out.iterdir())
    assert names == ["0001_b.png", "0002_photo.png", "0003_photo.png"]
    for columns in drawn:
        assert list(columns) == ["image", "principal components", "predictor"]
        assert columns["image"][0].shape == (20, 32, 3)
        assert columns["predictor"][0].shape == (5, 8)


def test_more_images_than_a_picture_has_rows(model, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(251):
        Image.new("RGB", (16, 16)).save(photos / f"{index}.png")
    out = tmp_path / "all.png"
    options = (photos, "--model", model, "--num-images", 300, "--out", out)
    message = str(run(*options).exception)
    assert "must be a folder for more than 250 images" in message


def test_images_of_all_classes_are_drawn(model, tmp_path, drawn):
    """Not the first files, which are all of one folder."""
    for index in range(24):
        path = tmp_path / "photos" / f"class_{index // 6}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (index // 6 * 60, 0, 0)).save(path)
    result = run(
        *(tmp_path / "photos", "--model", model, "--show", "predictor"),
        *("--out", tmp_path / "all.png", "--num-images", 4),
    )
    assert result.exit_code == 0, result.output
    (columns,) = drawn
    reds = [int(picture[0, 0, 0]) for picture in columns["image"]]
    assert reds == [0, 60, 120, 180]


def test_presets_have_no_clusters(photos, tmp_path, drawn):
    make_backbone().save_to_preset(tmp_path / "preset")
    arguments = (photos, "--model", tmp_path / "preset", "--image-size", 16)
    out = tmp_path / "all.png"
    result = run(*arguments, "--out", out)
    assert result.exit_code == 0, result.output
    assert "clusters" not in drawn[0]
    result = run(*arguments, "--out", out, "--show", "clusters")
    with pytest.raises(ValueError, match="needs a model with clusters"):
        raise result.exception


def test_a_standard_transformer(photos, tmp_path, drawn):
    """Which has no clusters and no predictor, but a class token."""
    make_vit().save_to_preset(tmp_path / "preset")
    arguments = (photos, "--model", tmp_path / "preset")
    out = tmp_path / "all.png"
    result = run(*arguments, "--out", out)
    assert result.exit_code == 0, result.output
    assert list(drawn[0]) == ["image", "principal components", "prefix 1"]
    result = run(*arguments, "--out", out, "--show", "predictor")
    with pytest.raises(ValueError, match="--show predictor needs a model"):
        raise result.exception


def test_an_encoder_without_attention(photos, tmp_path, drawn):
    encoder = ConvolutionalEncoder(2, 8, image_shape=(16, 16, 3))
    encoder.save_to_preset(tmp_path / "preset")
    arguments = (photos, "--model", tmp_path / "preset")
    out = tmp_path / "all.png"
    result = run(*arguments, "--out", out)
    assert result.exit_code == 0, result.output
    assert list(drawn[0]) == ["image", "principal components"]
    result = run(*arguments, "--out", out, "--show", "prefix")
    with pytest.raises(ValueError, match="--show prefix needs a model"):
        raise result.exception


@pytest.mark.filterwarnings("ignore:Skipped 1 of 1 images")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--out": "all.jpg"}, "must end in .png, or be a folder.*all.jpg"),
        ({"--show": "edges"}, "one or more of components.*edges"),
        ({"images": "missing"}, "must be a file or folder missing"),
        ({"images": "{damaged}"}, "At least one image must be readable"),
    ],
    ids=str,
)
def test_errors_say_the_rule(model, photos, tmp_path, changes, message):
    damaged = tmp_path / "damaged.png"
    damaged.write_text("no image")
    options = {"--out": str(tmp_path / "all.png"), **changes}
    images = options.pop("images", str(photos)).format(damaged=damaged)
    result = run(
        *(images, "--model", model),
        *(part for option in options.items() for part in option),
    )
    with pytest.raises(ValueError, match=message):
        raise result.exception


def test_long_names(model, tmp_path, drawn):
    """A file system takes 255 bytes, and here each character has three."""
    photo = tmp_path / "photos" / f"{80 * '山'}.png"
    photo.parent.mkdir()
    Image.new("RGB", (16, 16)).save(photo)
    out = tmp_path / "pictures"
    result = run(photo, "--model", model, "--out", out, "--show", "predictor")
    assert result.exit_code == 0, result.output
    assert [path.name for path in out.iterdir()] == [f"0001_{60 * '山'}.png"]


def test_an_image_of_one_patch(model, photos, tmp_path, drawn):
    result = run(
        *(photos / "a" / "b.jpg", "--model", model, "--image-size", 4),
        *("--out", tmp_path / "all.png"),
    )
    assert result.exit_code == 0, result.output
    assert drawn[0]["principal components"][0].shape == (1, 1, 3)
