"""The command itself, and what its subcommands share."""

import enum
import os
import pathlib
import subprocess
import sys
from typing import Annotated

import keras
import typer

import keras_capi

app = typer.Typer(
    name="keras-capi",
    help="Visual features from images without labels: CAPI, MAE, DINO, I-JEPA.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Backend(enum.StrEnum):
    jax = "jax"
    tensorflow = "tensorflow"
    torch = "torch"


ModelOption = Annotated[
    str,
    typer.Option(
        # `--preset` is the older name.
        "--model",
        "--preset",
        metavar="MODEL",
        help="Folder of a run, .keras file, or preset (a name, a folder or "
        "hf://user/name).",
    ),
]
ImagesArgument = Annotated[
    list[pathlib.Path],
    typer.Argument(metavar="IMAGES", help="Image files and folders."),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="PIXELS",
        help="Height and width; 0 keeps the size of each image. By default "
        "that of the training images, or 224.",
    ),
]
BatchSizeOption = Annotated[
    int, typer.Option(min=1, metavar="NUMBER", help="Images per batch.")
]
WhiteLevelOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        metavar="VALUE",
        help="The value of white in 16-bit images, such as 4095 for 12 bits. "
        "Defaults to the run's data.white_level, if MODEL is a run.",
    ),
]


def _print_version(value):
    if value:
        print(keras_capi.__version__)
        raise typer.Exit


@app.callback()
def options(
    backend: Annotated[
        Backend | None,
        typer.Option(
            help="Keras backend; give it before the command. By default that "
            "of KERAS_BACKEND or keras.json if installed, or else one that is."
        ),
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
    # Keras was imported before the option was read, for example by a program
    # that calls `main`. Its backend is fixed then, so this needs a new process.
    command = [sys.executable, "-m", "keras_capi", *sys.argv[1:]]
    environment = {**os.environ, "KERAS_BACKEND": backend.value}
    if os.name == "posix":
        # Replaces this process, so that signals reach the training.
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)
    result = subprocess.run(command, env=environment, check=False)
    raise typer.Exit(result.returncode)


def split_names(option, value, known):
    """Returns the names in a comma-separated option, each only once.

    Args:
        option: String. The option's name, for errors.
        value: String. The user's value.
        known: Sequence of all valid names.
    """
    names = list(dict.fromkeys(name.strip() for name in value.split(",")))
    if not set(names) <= set(known):
        raise ValueError(
            f"{option} must be one or more of {', '.join(known)}, separated by "
            f"commas. Received: {value}"
        )
    return names
