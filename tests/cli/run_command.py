import keras
from helpers import make_backbone
from helpers import make_model
from typer.testing import CliRunner

from keras_capi.cli.commands import app

SIZE = 16


def run_command(*arguments):
    """Runs the command line in this process, with arguments of any type."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def save_run(folder):
    """Saves a model for images of 16 pixels, as the end of a run does."""
    keras.utils.set_random_seed(0)
    backbone = make_backbone(image_shape=(SIZE, SIZE, 3))
    make_model(backbone).save(folder / "model.keras")
    return folder
