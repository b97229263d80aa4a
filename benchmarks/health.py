"""Do the measures of health tell a training that learns from one that fails?

    KERAS_BACKEND=torch python benchmarks/health.py dino_small --steps 180
    KERAS_BACKEND=torch python benchmarks/health.py dino_small --steps 180 \\
        --set center_momentum=1.0 --note "no centering"

Trains a small recipe on crops of ten photographs, with
`keras_capi.callbacks.FeatureHealth`, and prints the measures of held-out crops
after the epochs. `--set` changes settings of the recipe; `--images` takes
others than photographs: noise, which has nothing to learn, or grey ones.
"""

import argparse
import json
import warnings

import keras
import numpy as np
from methods import make_crops
from small_recipe import Photos

import keras_capi

KINDS = {
    "photos": lambda images: images,
    "noise": lambda images: np.random.default_rng(0).integers(
        0, 256, images.shape, "uint8"
    ),
    "gray": lambda images: np.repeat(
        images.mean(axis=-1, keepdims=True).astype("uint8"), 3, axis=-1
    ),
}


class Print(keras.callbacks.Callback):
    """Prints the logs that tell of health, with the losses."""

    def on_epoch_end(self, epoch, logs=None):
        names = {*self.model.loss_weights, "target_entropy", "target_deviation"}
        shown = {
            name.removeprefix("health_"): float(f"{float(value):.3g}")
            for name, value in logs.items()
            if name.startswith("health_")
            or name in names
            or name.endswith("_accuracy")
        }
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        print(json.dumps({"step": step, **shown}), flush=True)


def main(options):
    warnings.simplefilter("ignore")
    settings = [
        f"training.steps={options.steps}",
        f"training.seed={options.seed}",
        *options.set,
    ]
    recipe = keras_capi.recipes.load_recipe(options.recipe, settings)
    photos = Photos(options.seed)
    change = KINDS[options.images]
    model = keras_capi.recipes.make_model(recipe, options.steps)
    dataset = keras_capi.data.AugmentedImages(
        change(make_crops(photos)),
        **recipe["data"],
        seed=options.seed,
        workers=1,
    )
    normalize = keras_capi.layers.ImageNetNormalization()
    images = keras.ops.convert_to_numpy(
        normalize(change(photos.test[0][:: len(photos.test[0]) // 100]))
    )
    print(json.dumps({**vars(options), "backend": keras.backend.backend()}))
    model.fit(
        dataset,
        epochs=-(-options.steps // len(dataset)),
        callbacks=[
            keras_capi.callbacks.FeatureHealth(images, every=options.every),
            Print(),
        ],
        verbose=0,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=keras_capi.recipes.list_recipes())
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--every", type=int, default=1, help="epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--images", choices=KINDS, default="photos")
    parser.add_argument("--note", help="what the settings make of it")
    main(parser.parse_args())
