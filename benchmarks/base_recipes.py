"""Do the recipes of published sizes begin to train?

    KERAS_BACKEND=torch python benchmarks/base_recipes.py dino_base

Runs `keras-capi pretrain` on photographs for a step, with the network and all
settings of the recipe but the batch, which is as small as it may be, and what
`--set` changes. Prints as JSON the seconds and the memory of the whole command,
and what came of it: the parameters, those that train too; the losses of the
step beside what a model has that knows nothing; and the rates of the first, the
second and the highest update, of the recipe's own steps and batch, with as many
images as ImageNet has.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
import keras
import numpy as np
from PIL import Image

import keras_capi
from keras_capi.recipes.check_recipe import with_defaults

IMAGENET = 1_281_167
# Of each photograph, from its corners.
SHARE = 0.75
NUM_RATES = 1000


def write_photos(folder):
    """Writes 40 images, four corners of each of the package's photographs."""
    folder.mkdir()
    for name, photo in keras_capi.data.sample_photos().items():
        height, width = (int(SHARE * x) for x in photo.shape[:2])
        for number in range(4):
            rows = slice(None, height) if number < 2 else slice(-height, None)
            columns = slice(-width, None) if number % 2 else slice(None, width)
            image = Image.fromarray(photo[rows, columns])
            image.save(folder / f"{name}_{number}.jpg")


def pretrain(name, photos, run, settings):
    """Runs the command, and returns its seconds and its memory in GiB."""
    command = [sys.executable, "-m", "keras_capi", "pretrain", str(photos)]
    command += ["--recipe", name, "--out", str(run)]
    for setting in settings:
        command += ["--set", setting]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr, cwd=ROOT)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return time.perf_counter() - start, memory


def count(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def read_losses(run, names):
    with open(run / "history.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    return {name: round(float(row[name]), 4) for name in names}


def list_rates(recipe, model):
    """Returns the rates of the first, the second and the highest update."""
    recipe = with_defaults(recipe)
    data, training = recipe["data"], recipe["training"]
    images = IMAGENET * data["samples_per_image"]
    steps = training.get("steps")
    steps = steps or training["epochs"] * (images // data["batch_size"])
    optimizer = model.published_optimizer(
        steps, batch_size=data["batch_size"], **recipe["optimizer"]
    )
    rate = optimizer.get_config()["learning_rate"]
    if isinstance(rate, dict):
        schedule = keras.saving.deserialize_keras_object(rate)
        every = max(steps // NUM_RATES, 1)
        first, second, *others = (
            float(schedule(step)) for step in (0, 1, *range(2, steps, every))
        )
        rates = first, second, max(others)
    else:
        rates = rate, rate, rate
    return [float(f"{x:.3g}") for x in rates]


def mean_smooth_l1(beta):
    """Of a standard normal variable, which is what norms make of features."""
    density = math.exp(-(beta**2) / 2) / math.sqrt(2 * math.pi)
    outside = math.erfc(beta / math.sqrt(2))
    inside = 1 - outside - 2 * beta * density
    return inside / (2 * beta) + 2 * density - beta / 2 * outside


def list_chances(model, images):
    """Returns the losses of a model that knows nothing, by name.

    It takes all choices for equally likely, all features for 0, and all pixels
    for the mean of ImageNet's, or of their patch.
    """
    choices = {
        "BEiT": {"token_loss": 8192},
        "Colorization": {"color_cross_entropy": 313},
        # Two choices of two.
        "ContextEncoder": {"discriminator_loss": 4},
        "DINO": {"dino_loss": 65536},
        "DeepCluster": {"cluster_loss": 3000},
        "DeepClusterV1": {"cluster_loss": 10000},
        "ImageGPT": {"color_loss": 512},
        "RelativePosition": {"pair_loss": 8},
        "RotationPrediction": {"rotation_loss": 4},
        "SwAV": {"swav_loss": 3000},
    }
    others = {
        "AIM": {"pixel_loss": 1.0},
        "Data2Vec": {"feature_loss": mean_smooth_l1(2.0)},
        # Half of the large views have patches to predict, and all count.
        "DINOv2": {
            "class_loss": math.log(65536),
            "patch_loss": math.log(65536) / 2,
        },
        "DenoisingAutoencoder": {"pixel_loss": np.square(images).mean()},
        "IBOT": {
            "class_loss": math.log(8192),
            "patch_loss": math.log(8192) / 2,
        },
        "IJEPA": {"feature_loss": mean_smooth_l1(1.0)},
        "MAE": {"pixel_loss": 1.0},
        # Both directions, of one right view among the others.
        "SimCLR": {"contrastive_loss": 2 * math.log(2 * len(images) - 1)},
        "SimMIM": {"pixel_loss": np.abs(images).mean()},
    }
    name = type(model).__name__
    if name == "CAPI":
        chance = math.log(model.clustering.num_clusters)
        return dict.fromkeys(model.loss_weights, chance)
    if name in choices:
        return {k: math.log(x) for k, x in choices[name].items()}
    return others.get(name, {})


def main(options):
    folder = pathlib.Path(options.folder or tempfile.mkdtemp())
    photos, run = folder / "photos", folder / options.name
    if not photos.is_dir():
        write_photos(photos)
    overrides = [
        f"data.batch_size={options.batch_size}",
        "training.steps=1",
        *options.set,
    ]
    seconds, memory = pretrain(options.name, photos, run, overrides)
    model = keras.saving.load_model(run / "model.keras")
    recipe = keras_capi.recipes.load_recipe(options.name, options.set)
    dataset = keras_capi.data.AugmentedImages(
        str(photos),
        **{**recipe["data"], "batch_size": options.batch_size},
        seed=recipe["training"]["seed"],
    )
    (images,) = dataset.make_batch(0, 0)
    chances = list_chances(model, images)
    result = {
        "recipe": options.name,
        "backend": keras.backend.backend(),
        "batch_size": options.batch_size,
        "set": options.set,
        "encoder_parameters": model.encoder.count_params(),
        "trained_parameters": count(model.trainable_variables),
        "losses": read_losses(run, {**model.loss_weights, **chances}),
        "chance": {k: round(float(x), 4) for k, x in chances.items()},
        "rates": list_rates(recipe, model),
        "seconds": round(seconds),
        "memory_gib": round(memory, 1),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", keras.backend.backend())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=keras_capi.recipes.list_recipes())
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--folder", help="to keep photographs and run")
    main(parser.parse_args())
