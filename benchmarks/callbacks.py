"""What do the callbacks cost, as a share of the training time?

    KERAS_BACKEND=jax python benchmarks/callbacks.py

Trains the `small` recipe's model on noise, in epochs of 200 steps, with all
callbacks at their default settings, on 64 images for the health, 500 and 100
for the neighbours, and 8 to draw. Prints the seconds of each and its share of
an epoch's time without callbacks, from the second epoch on, as the first
compiles.
"""

import argparse
import json
import tempfile
import time

import keras
import numpy as np

import keras_capi


class Timed(keras.callbacks.Callback):
    """Measures the end of the epoch of another callback."""

    def __init__(self, callback):
        super().__init__()
        self.callback = callback
        self.seconds = []

    def set_model(self, model):
        super().set_model(model)
        self.callback.set_model(model)

    def on_epoch_end(self, epoch, logs=None):
        start = time.perf_counter()
        self.callback.on_epoch_end(epoch, logs)
        self.seconds.append(time.perf_counter() - start)


class EpochTimes(keras.callbacks.Callback):
    """Measures the epochs. Must be the first of the callbacks."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def main(steps, epochs):
    recipe = keras_capi.recipes.load_recipe("small")
    data = recipe["data"]
    size, batch_size = data["image_size"], data["batch_size"]
    model = keras_capi.recipes.make_model(recipe, steps * epochs)
    generator = np.random.default_rng(0)

    def images(count):
        return generator.normal(size=(count, size, size, 3)).astype("float32")

    callbacks = keras_capi.callbacks
    with tempfile.TemporaryDirectory() as folder:
        timed = {
            "ClusteringHealth": callbacks.ClusteringHealth(images(64)),
            "KNNEvaluation": callbacks.KNNEvaluation(
                images(500),
                generator.integers(10, size=500),
                images(100),
                generator.integers(10, size=100),
            ),
            "FeatureImages": callbacks.FeatureImages(images(8), folder),
        }
        timed = {name: Timed(callback) for name, callback in timed.items()}
        times = EpochTimes()
        model.fit(
            np.tile(images(batch_size), (steps, 1, 1, 1)),
            batch_size=batch_size,
            epochs=epochs,
            callbacks=[times, *timed.values()],
            verbose=0,
        )
    epoch = np.median(times.seconds[1:])
    print(
        json.dumps(
            {
                "backend": keras.backend.backend(),
                "steps": steps,
                "epoch_seconds": round(float(epoch), 2),
                **{
                    name: {
                        "seconds": round(float(np.median(x.seconds[1:])), 3),
                        "percent": round(
                            float(100 * np.median(x.seconds[1:]) / epoch), 2
                        ),
                    }
                    for name, x in timed.items()
                },
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=3)
    main(**vars(parser.parse_args()))
