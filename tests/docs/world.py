"""What the examples of the documentation take for granted.

A folder with tiny images, masks, shards and weights under the names that the
examples use, and the variables that they leave to the reader.
"""

import pathlib
import re
import shutil
import tarfile

import helpers
import keras
import numpy as np
from PIL import Image

import keras_capi

ROOT = pathlib.Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
REFERENCE = pathlib.Path(__file__).parents[1] / "reference"
IMAGE_SIZE = 64
PATCH_SIZE = 16
NUM_IMAGES = 64  # a batch of the pages

# Examples train for as long as a user would; once through the data will do.
SHORTER = (
    (re.compile(r"\bepochs( ?= ?)\d+"), r"epochs\g<1>1"),
    (re.compile(r"\bnum_steps=\d+"), "num_steps=3"),
    (re.compile(r"\bnum_batches=\d+"), "num_batches=1"),
)


def shorten(source):
    for pattern, replacement in SHORTER:
        source = pattern.sub(replacement, source)
    return source


def write_images(folder, count, mode="RGB", suffix=".png", seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for index in range(count):
        shape = (48, 64, 3) if mode == "RGB" else (48, 64)
        high = 256 if mode == "RGB" else 3
        pixels = generator.integers(0, high, shape, dtype="uint8")
        Image.fromarray(pixels).save(folder / f"{index:03}{suffix}")


def write_files(folder):
    """Makes all files that examples read."""
    for name in ("my_images", "photos"):
        write_images(folder / name, NUM_IMAGES)
    for name in ("holidays", "archive"):
        write_images(folder / name, 4)
    write_images(folder / "streets" / "images", 4)
    write_images(folder / "streets" / "masks", 4, mode="L")
    # No image may be among both.
    for seed, split in enumerate(("train", "test")):
        for label in ("daisy", "rose"):
            write_images(folder / "flowers" / split / label, 4, seed=seed)
            write_images(folder / "digits" / split / label, 18, seed=seed)
        write_images(folder / "streets" / split / "images", 6, seed=seed)
        write_images(folder / "streets" / split / "masks", 6, mode="L")
    ade20k = folder / "ADEChallengeData2016"
    write_images(ade20k / "images" / "validation", 2, suffix=".jpg")
    write_images(ade20k / "annotations" / "validation", 2, mode="L")
    shutil.copy(folder / "photos" / "000.png", folder / "portrait.png")
    shutil.copy(
        REFERENCE / "capi_reference.pth", folder / "capi_vitl14_in1k.pth"
    )
    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards" / "000.tar", "w") as shard:
        for path in sorted((folder / "photos").iterdir()):
            shard.add(path, path.name)
    # One page asks for the features after its block 12.
    make_backbone(num_layers=12).save_to_preset(folder / "my_preset")


def copy_files(template, folder):
    """Gives a test a folder of its own with the same files in it.

    They are copied, as examples also write what others read.
    """
    shutil.copytree(template, folder, dirs_exist_ok=True)


def make_backbone(**overrides):
    return helpers.make_backbone(patch_size=PATCH_SIZE, **overrides)


def make_model():
    return helpers.make_model(make_backbone(), num_clusters=4)


def make_namespace(source):
    """Makes the variables that an example uses.

    Args:
        source: String. The example. Models that it does not name are not built,
            which would take longer than most examples do.
    """
    names = set(re.findall(r"\w+", source))
    generator = np.random.default_rng(0)
    shape = (NUM_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 3)
    pictures = generator.integers(0, 256, shape, dtype="uint8")
    images = generator.normal(size=shape).astype("float32")
    labels = np.arange(NUM_IMAGES) % 2
    masks = generator.integers(0, 3, shape[:3])
    indices = np.tile(np.arange(8, dtype="int32"), (NUM_IMAGES, 1))
    models = {}
    if "model" in names:
        models["model"] = make_model()
    if names & {"backbone", "classifier"}:
        models["backbone"] = make_backbone()
        models["backbone"](images[:1])
    if "classifier" in names:
        models["classifier"] = keras_capi.models.CAPIClassifier(
            models["backbone"], num_classes=2
        )
    return {
        **models,
        "keras": keras,
        "keras_capi": keras_capi,
        "np": np,
        "make_model": make_model,
        "images": images,
        "pictures": pictures,
        "labels": labels,
        "masks": masks,
        "visible": indices[:, :5],
        "predicted": indices[:, 5:],
        "held_out_images": images,
        "validation_images": images,
        "few_images": images,
        "few_labels": labels,
        "train_images": np.tile(images, (3, 1, 1, 1)),
        "train_labels": np.tile(labels, 3),
        "train_masks": np.tile(masks, (3, 1, 1)),
        "test_images": images,
        "test_labels": labels,
        "test_masks": masks,
        "dataset": images,
        "my_share": images,
        "features": generator.normal(size=(160, 8)).astype("float32"),
    }
