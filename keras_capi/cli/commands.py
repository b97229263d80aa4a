"""The commands. Their options are made from the functions' signatures."""

import enum
import os
import pathlib
import subprocess
import sys
from typing import Annotated

import keras
import numpy as np
import typer

import keras_capi

app = typer.Typer(
    name="keras-capi",
    help="Visual features from images: CAPI in Keras.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Backend(enum.StrEnum):
    jax = "jax"
    tensorflow = "tensorflow"
    torch = "torch"


def _print_version(value):
    if value:
        print(keras_capi.__version__)
        raise typer.Exit


@app.callback()
def options(
    backend: Annotated[
        Backend | None,
        typer.Option(help="Keras backend; else KERAS_BACKEND decides."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, help="Print the version."
        ),
    ] = False,
):
    if backend is None or backend == keras.backend.backend():
        return
    # Keras fixes its backend when it is imported, so this takes a new process.
    command = [sys.executable, "-m", "keras_capi", *sys.argv[1:]]
    environment = {**os.environ, "KERAS_BACKEND": backend.value}
    if os.name == "posix":
        # In place of this process, so that signals reach the training.
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)
    result = subprocess.run(command, env=environment, check=False)
    raise typer.Exit(result.returncode)


@app.command()
def convert(
    checkpoint: Annotated[
        pathlib.Path,
        typer.Argument(help="A .pth file of the authors' PyTorch code."),
    ],
    preset: Annotated[
        str, typer.Argument(help="Folder to write, or hf://user/name.")
    ],
    part: Annotated[
        str,
        typer.Option(help="Backbone of a training checkpoint to take."),
    ] = "teacher",
):
    """Turn a PyTorch checkpoint into a preset."""
    backbone = keras_capi.convert.load_torch_checkpoint(checkpoint, part)
    backbone.save_to_preset(preset)
    print(
        f"Wrote {preset} ({backbone.count_params():,} parameters). To load it: "
        f'CAPIBackbone.from_preset("{preset}")'
    )


@app.command()
def embed(
    images: Annotated[
        list[pathlib.Path], typer.Argument(help="Image files and folders.")
    ],
    preset: Annotated[
        str,
        typer.Option(help="Preset: a name, a folder or hf://user/name."),
    ],
    out: Annotated[
        pathlib.Path,
        typer.Option(help="File to write: .h5, .hdf5, or .npy (one feature)."),
    ],
    features: Annotated[
        str,
        typer.Option(
            help="Comma-separated: global, average, registers, feature_map, "
            "layer_1, ..."
        ),
    ] = "global",
    image_size: Annotated[
        int,
        typer.Option(
            min=0, help="Height and width; 0 keeps the size of each image."
        ),
    ] = 224,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
):
    """Compute features of images.

    An HDF5 file has a dataset for each feature, its first axis that of the
    images, and `names`, their paths. A .npy file has the features alone, in
    alphabetical order within each folder.
    """
    backbone = keras_capi.models.CAPIBackbone.from_preset(preset)
    names, _ = keras_capi.features.extract_features(
        backbone,
        keras_capi.data.find_images(images),
        tuple(name.strip() for name in features.split(",")),
        image_size or None,
        batch_size,
        out,
    )
    print(f"Wrote features of {len(names)} images to {out}")


@app.command()
def pretrain(
    recipe: Annotated[
        str,
        typer.Option(
            help="demo, small, base, paper_large, or a YAML file, such as the "
            "recipe.yaml of a run."
        ),
    ] = "small",
    images: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder of images; needed unless the recipe has it."),
    ] = None,
    out: Annotated[
        pathlib.Path, typer.Option(help="Folder to write.")
    ] = pathlib.Path("run"),
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Instead of the recipe's steps or epochs."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Another value, such as backbone.num_layers=6; repeatable.",
        ),
    ] = None,
):
    """Train a model on your own images, without labels.

    The folder gets model.keras, history.csv, checkpoints and recipe.yaml with
    all settings. The same command goes on after an interruption.
    """
    overrides = list(settings or ())
    if epochs is not None:
        overrides.append(f"training.epochs={epochs}")
    resolved = keras_capi.recipes.load_recipe(recipe, overrides)
    if images is not None:
        resolved["images"] = str(images)
    keras_capi.recipes.pretrain(resolved, out)
    print(
        f"Wrote {out / 'model.keras'}. `keras-capi report {out}` makes a page "
        "of what it has learned."
    )


@app.command()
def report(
    run: Annotated[
        pathlib.Path,
        typer.Argument(
            help="Folder with model.keras, pictures.npy (uint8 images that the "
            "model takes, some hundreds) and, if there is one, history.csv."
        ),
    ],
    out: Annotated[
        pathlib.Path | None,
        typer.Option(help="Page to write; else report.html in the folder."),
    ] = None,
):
    """Write a page that shows what a model has learned."""
    missing = [
        name
        for name in ("model.keras", "pictures.npy")
        if not (run / name).is_file()
    ]
    if missing:
        raise ValueError(f"{run} must contain {' and '.join(missing)}")
    model = keras.saving.load_model(run / "model.keras", compile=False)
    pictures = np.load(run / "pictures.npy")
    normalize = keras_capi.layers.ImageNetNormalization()
    history = run / "history.csv"
    out = out or run / "report.html"
    keras_capi.visualization.write_report(
        out,
        model,
        keras.ops.convert_to_numpy(normalize(pictures)),
        pictures,
        history if history.is_file() else None,
    )
    print(f"Wrote {out}")


@app.command()
def presets():
    """List the presets that have a name."""
    for name, description in keras_capi.presets.list_presets().items():
        print(f"{name:40} {description}")
