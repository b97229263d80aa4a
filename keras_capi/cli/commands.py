"""The commands. Their options are made from the functions' signatures."""

import enum
import pathlib
from typing import Annotated

import keras
import numpy as np
import typer

import keras_capi
from keras_capi import backend
from keras_capi.cli.app import BatchSizeOption
from keras_capi.cli.app import ImagesArgument
from keras_capi.cli.app import ImageSizeOption
from keras_capi.cli.app import ModelOption
from keras_capi.cli.app import WhiteLevelOption
from keras_capi.cli.app import app
from keras_capi.cli.doctor import doctor
from keras_capi.cli.evaluate import evaluate
from keras_capi.cli.load_model import NUM_CHANNELS
from keras_capi.cli.load_model import choose_image_size
from keras_capi.cli.load_model import choose_white_level
from keras_capi.cli.load_model import load_keras_file
from keras_capi.cli.load_model import load_model
from keras_capi.cli.load_model import naming_the_file
from keras_capi.cli.load_model import read_num_steps
from keras_capi.cli.visualize import visualize
from keras_capi.features.feature_file import check_feature_file
from keras_capi.paths import as_path
from keras_capi.paths import cache_folder
from keras_capi.paths import check_output
from keras_capi.recipes.recipe_file import read_recipe_file
from keras_capi.recipes.run_folder import HISTORY_FILE
from keras_capi.recipes.run_folder import MODEL_FILE
from keras_capi.recipes.run_folder import PICTURES_FILE
from keras_capi.recipes.run_folder import RECIPE_FILE
from keras_capi.saving.preset import HUB_PREFIX


class Part(enum.StrEnum):
    teacher = "teacher"
    student = "student"


@app.command()
def convert(
    checkpoint: Annotated[
        pathlib.Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A .pth file from the authors' PyTorch code.",
        ),
    ],
    preset: Annotated[
        str,
        typer.Argument(
            metavar="PRESET", help="Folder to write, or hf://user/name."
        ),
    ],
    part: Annotated[
        Part,
        typer.Option(help="Which backbone of a training checkpoint to use."),
    ] = Part.teacher,
):
    """Turn a PyTorch checkpoint into a preset."""
    if not preset.startswith(HUB_PREFIX):
        check_output("PRESET", as_path(preset, "PRESET"), is_folder=True)
    rule = "A checkpoint must be a .pth file of the authors' code, undamaged"
    with naming_the_file(checkpoint, rule):
        encoder = keras_capi.convert.load_torch_checkpoint(
            checkpoint, part.value
        )
    encoder.save_to_preset(preset)
    print(
        f"Wrote {preset} ({encoder.count_params():,} parameters). To load it: "
        f'{type(encoder).__name__}.from_preset("{preset}")'
    )


@app.command()
def embed(
    images: ImagesArgument,
    model: ModelOption,
    out: Annotated[
        pathlib.Path,
        typer.Option(
            metavar="FILE",
            help="File to write: .h5, .hdf5, or .npy (one feature).",
        ),
    ],
    features: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated: global, average, prefix (class token and "
            "registers), feature_map, layer_1, ...",
        ),
    ] = "global",
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 32,
    white_level: WhiteLevelOption = None,
):
    """Compute features of images.

    An HDF5 file has a dataset for each feature, with one row per image, and the
    image paths in `names`. A .npy file has only the features, in alphabetical
    order within each folder, without a row for images that cannot be read.
    """
    out = as_path(out, "--out")
    check_output("--out", out)
    chosen = tuple(name.strip() for name in features.split(","))
    check_feature_file(out, chosen)
    backbone, _ = load_model(model)
    loader = keras_capi.data.ImageLoader(
        keras_capi.data.find_images(images),
        choose_image_size(backbone, image_size),
        patch_size=backbone.divisor,
        batch_size=batch_size,
        white_level=choose_white_level(model, white_level),
    )
    names, _ = keras_capi.features.extract_features(
        backbone, loader, chosen, output=out
    )
    print(f"Wrote features of {len(names)} images to {out}")
    if loader.skipped and out.suffix == ".npy":
        print(
            "Rows of a .npy file have no names, and some images were left out: "
            "an .h5 file tells which row is which image."
        )


@app.command()
def pretrain(
    images: Annotated[
        list[pathlib.Path] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Image files and folders; required if the recipe has none.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="RECIPE",
            help="For CAPI demo, small, base or paper_large; for other methods "
            "mae_small, mae_base, dino_small and so on (an unknown name lists "
            "them all); or a YAML file, such as the recipe.yaml of a run.",
        ),
    ] = "small",
    folder: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--images", metavar="FOLDER", help="The same for one folder."
        ),
    ] = None,
    out: Annotated[
        pathlib.Path,
        typer.Option(metavar="FOLDER", help="Folder to write."),
    ] = pathlib.Path("run"),
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="Replaces the recipe's steps or epochs.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.NAME=VALUE",
            help="Changes a setting, e.g. backbone.num_layers=6; repeatable.",
        ),
    ] = None,
):
    """Train a model on your own images, without labels.

    The output folder gets model.keras, history.csv, checkpoints, and
    recipe.yaml with all settings. Run the same command again to resume after an
    interruption. With torch, `torchrun --nproc-per-node N -m keras_capi
    pretrain` uses N devices.
    """
    if folder is not None and images:
        raise ValueError(
            "Images must be given either before the options or by --images. "
            f"Received: {' '.join(map(str, images))} and --images {folder}"
        )
    out = as_path(out, "--out")
    check_output("--out", out, is_folder=True)
    overrides = list(settings or ())
    if epochs is not None:
        overrides.append(f"training.epochs={epochs}")
    resolved = keras_capi.recipes.load_recipe(recipe, overrides)
    sources = [str(path) for path in images or ()]
    if folder is not None:
        sources = [str(folder)]
    if sources:
        resolved["images"] = sources[0] if len(sources) == 1 else sources
    backend.keep_compiled(cache_folder() / "compiled")
    with backend.launched_processes():
        keras_capi.recipes.pretrain(resolved, out)
        if backend.process_index() == 0:
            print(
                f"Wrote {out / MODEL_FILE}. `keras-capi report {out}` makes a "
                "page of what it has learned."
            )


@app.command()
def report(
    run: Annotated[
        pathlib.Path,
        typer.Argument(
            metavar="RUN",
            help="Folder with model.keras, pictures.npy (a few hundred uint8 "
            "images that the model takes) and optionally history.csv.",
        ),
    ],
    out: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="Page to write; by default report.html in the folder.",
        ),
    ] = None,
):
    """Write a page that shows what a model has learned."""
    missing = [
        name
        for name in (MODEL_FILE, PICTURES_FILE)
        if not (run / name).is_file()
    ]
    if missing:
        raise ValueError(
            f"{run} must contain {' and '.join(missing)}, as written "
            "at the end of a training"
        )
    out = as_path(out or run / "report.html", "--out")
    check_output("--out", out)
    model = load_keras_file(run / MODEL_FILE)
    pictures = _load_pictures(run / PICTURES_FILE)
    normalize = keras_capi.layers.ImageNetNormalization()
    history = run / HISTORY_FILE
    keras_capi.visualization.write_report(
        out,
        model,
        keras.ops.convert_to_numpy(normalize(pictures)),
        pictures,
        history if history.is_file() else None,
        _read_settings(run / RECIPE_FILE),
        read_num_steps(run / MODEL_FILE),
    )
    print(f"Wrote {out}")


def _read_settings(path):
    return read_recipe_file(path) if path.is_file() else None


def _load_pictures(path):
    with naming_the_file(path, "The file must be an array, undamaged"):
        pictures = np.load(path)
    shape = getattr(pictures, "shape", ())
    is_rgb = len(shape) == 4 and shape[-1] == NUM_CHANNELS
    if not is_rgb or pictures.dtype != np.uint8:
        kind = f"shape {shape}, dtype {pictures.dtype}" if shape else pictures
        raise ValueError(
            "Pictures must be a uint8 array of shape (count, height, width, "
            "3); in Python, `keras_capi.visualization.write_report` takes "
            f"images of other channels. Received: {path} with {kind!s:.80}"
        )
    return pictures


@app.command()
def presets():
    """List the presets with a name."""
    for name, description in keras_capi.presets.list_presets().items():
        print(f"{name:40} {description}")


app.command()(doctor)
app.command()(evaluate)
app.command()(visualize)
