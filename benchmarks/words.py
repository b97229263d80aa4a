"""What do the words of a small tokenizer keep? Photographs.

    KERAS_BACKEND=torch python benchmarks/words.py --out tokenizer.keras

Trains `discrete_vae_small` on the crops of `methods.py`, and looks at crops
from elsewhere in the same photographs: how many words it has for them, as many
as how many used alike (`perplexity`, whose logarithm is the entropy: the loss
of a BEiT that knows no more than how frequent each word is), and how far the
pictures of single words are from the pixels (their squared error as a share of
the variance, and the peak signal-to-noise ratio in decibels). `methods.py
beit_small --set tokenizer=tokenizer.keras` is the second stage.
"""

import argparse
import json
import time

import keras
import numpy as np
from methods import make_crops
from small_recipe import Photos

import keras_capi
from keras_capi.layers.norms.imagenet_normalization import STANDARD_DEVIATION

BATCH_SIZE = 100


class Words(keras.callbacks.Callback):
    def __init__(self, images, every):
        super().__init__()
        self.images = images
        self.every = every
        self.start = time.time()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        begin = time.time()
        words, pictures = self.describe()
        shares = np.bincount(words.ravel()) / words.size
        shares = shares[shares > 0]
        entropy = -np.sum(shares * np.log(shares))
        errors = np.square(pictures - self.images)
        colors = np.mean(errors * np.square(STANDARD_DEVIATION))
        result = {
            "step": int(
                keras.ops.convert_to_numpy(self.model.optimizer.iterations)
            ),
            "seconds": round(begin - self.start),
            "pixel_loss": logs["pixel_loss"],
            "words": len(shares),
            "perplexity": np.exp(entropy),
            "entropy": entropy,
            "share_of_variance": errors.mean() / self.images.var(),
            "decibels": -10 * np.log10(colors),
        }
        result = {k: round(float(v), 3) for k, v in result.items()}
        print(json.dumps(result), flush=True)
        self.start += time.time() - begin

    def describe(self):
        """Returns the words of the images, and the pictures of the words."""
        words, pictures = [], []
        for start in range(0, len(self.images), BATCH_SIZE):
            batch = self.images[start : start + BATCH_SIZE]
            rows, columns = (
                n // self.model.patch_size for n in batch.shape[1:3]
            )
            token_ids = keras.ops.reshape(
                self.model.tokenize(batch, (rows, columns)),
                (-1, rows, columns),
            )
            words.append(keras.ops.convert_to_numpy(token_ids))
            pictures.append(
                keras.ops.convert_to_numpy(self.model.decode(token_ids))
            )
        return np.concatenate(words), np.concatenate(pictures)


def main(options):
    settings = [f"training.seed={options.seed}", *options.set]
    if options.steps is not None:
        settings.append(f"training.steps={options.steps}")
    recipe = keras_capi.recipes.load_recipe("discrete_vae_small", settings)
    steps = recipe["training"]["steps"]
    photos = Photos(options.seed)
    model = keras_capi.recipes.make_model(recipe, steps)
    dataset = keras_capi.data.AugmentedImages(
        make_crops(photos), **recipe["data"], seed=options.seed, workers=1
    )
    normalize = keras_capi.layers.ImageNetNormalization()
    images = keras.ops.convert_to_numpy(normalize(photos.test[0]))
    print(json.dumps({**vars(options), "backend": keras.backend.backend()}))
    model.fit(
        dataset,
        epochs=-(-steps // len(dataset)),
        callbacks=[Words(images, options.every)],
        verbose=0,
    )
    if options.out:
        model.save(options.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, help="the recipe's by default")
    parser.add_argument("--every", type=int, default=2, help="epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", help="file of the trained tokenizer")
    main(parser.parse_args())
