"""Do the small recipes of other methods learn? Photographs, before and after.

    KERAS_BACKEND=torch python benchmarks/methods.py mae_small --steps 800

Trains without labels on crops from the left of ten photographs, for some
minutes on one core. Which of them is a crop from their right third from? Asked
of 10 neighbours and of a logistic regression, on the averaged patch features of
the last block (`patches`) and of the middle one (`middle`), and on the feature
of the whole image (`global`), in percent; see `small_recipe.py`, whose figures
are CAPI's. Of a tokenizer, see `words.py`.
"""

import argparse
import json
import time

import keras
import numpy as np
from small_recipe import Photos

import keras_capi

NUM_CROPS = 150  # of a photograph
CROP_SIZE = 96
# What some methods log beside their losses.
HEALTH = (
    "target_entropy",
    "target_deviation",
    "token_accuracy",
    "rotation_accuracy",
)


def make_crops(photos):
    """Crops to train on, larger than what the models take."""
    crops = [
        keras_capi.data.RandomCrops([image], CROP_SIZE, NUM_CROPS, 1, seed=i)[0]
        for i, image in enumerate(photos.images)
    ]
    return np.concatenate([batch for (batch,) in crops]).astype("uint8")


class Scores(keras.callbacks.Callback):
    def __init__(self, photos, every=1):
        super().__init__()
        self.every = every
        normalize = keras_capi.layers.ImageNetNormalization()
        self.photos = photos
        self.images = [
            keras.ops.convert_to_numpy(normalize(x[0]))
            for x in (photos.train, photos.test)
        ]
        self.start = time.time()

    def on_train_begin(self, logs=None):
        encoder = self.model.encoder
        self.middle = f"layer_{encoder.num_layers // 2}"
        self.extractor = keras_capi.models.FeatureExtractor(
            encoder, ("global", "feature_map", self.middle)
        )
        self.report(0, {})

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self.report(step, logs)

    def report(self, step, logs):
        begin = time.time()
        features = [
            self.extractor.predict(x, batch_size=100, verbose=0)
            for x in self.images
        ]
        scores = {
            "patches": [x["feature_map"] for x in features],
            "middle": [x[self.middle] for x in features],
            # As a map of one patch.
            "global": [x["global"][:, None, None] for x in features],
        }
        names = [*self.model.loss_weights, *HEALTH]
        result = {"step": step, "seconds": round(begin - self.start)}
        result |= {k: round(float(logs[k]), 3) for k in names if k in logs}
        for name, (train, test) in scores.items():
            for key, value in self.photos.score(train, test).items():
                result[f"{name}_{key}"] = round(100 * value, 1)
        print(json.dumps(result), flush=True)
        self.start += time.time() - begin


def main(options):
    settings = [
        f"training.steps={options.steps}",
        f"training.seed={options.seed}",
        *options.set,
    ]
    recipe = keras_capi.recipes.load_recipe(options.recipe, settings)
    photos = Photos(options.seed)
    model = keras_capi.recipes.make_model(recipe, options.steps)
    dataset = keras_capi.data.AugmentedImages(
        make_crops(photos), **recipe["data"], seed=options.seed, workers=1
    )
    epochs = -(-options.steps // len(dataset))
    print(json.dumps({**vars(options), "backend": keras.backend.backend()}))
    scores = Scores(photos, options.every)
    model.fit(dataset, epochs=epochs, callbacks=[scores], verbose=0)
    if options.pictures and hasattr(model, "predict_pixels"):
        keras_capi.visualization.picture_grid(
            keras_capi.visualization.reconstruction_pictures(
                model, scores.images[1][::100], photos.test[0][::100]
            )
        ).savefig(options.pictures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", choices=keras_capi.recipes.list_recipes())
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--every", type=int, default=10, help="epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--pictures", help="PNG file of reconstructions")
    main(parser.parse_args())
