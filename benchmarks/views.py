"""What do views cost, in the training step and in threads beside it?

    KERAS_BACKEND=jax python benchmarks/views.py

Makes DINO's published views (2 of 224 and 8 of 96 pixels) of batches of
images, compiled as in a training step and one operation after the other as in a
thread. Then trains DINO on a ViT-Ti/16 by `fit`: with views that are there
already, with views made in the step, and with those that threads make beside it
(`keras_capi.data.ViewBatches`). Each figure is the least of the repetitions, as
other programs can only add to it: `seconds` on the clock and `cpu_seconds` of
all threads, for one batch. The maths has one thread.
"""

import argparse
import json
import os
import time
import warnings

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false "
    "intra_op_parallelism_threads=1",
}
os.environ.update(ONE_THREAD)

# ruff: noqa: E402
import keras
import numpy as np

import keras_capi

BACKEND = keras.backend.backend()


class Fixed(keras.utils.PyDataset):
    """The same views again and again."""

    def __init__(self, views, num_batches):
        super().__init__()
        self.views = views
        self.num_batches_ = num_batches

    def __len__(self):
        return self.num_batches_

    def __getitem__(self, index):
        return (self.views,)


def compiled(function):
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    return function


def least(function, repetitions, count=1):
    """Calls a function, and returns the least times of a `count`th of a call.

    Also those of the first call, which compiles.
    """
    times = []
    for _ in range(repetitions + 1):
        start = time.perf_counter(), time.process_time()
        function()
        end = time.perf_counter(), time.process_time()
        times.append([(b - a) / count for a, b in zip(start, end, strict=True)])
    seconds, cpu_seconds = np.min(times[1:], axis=0)
    return {
        "seconds": round(float(seconds), 3),
        "cpu_seconds": round(float(cpu_seconds), 3),
        "first": round(times[0][0], 1),
    }


def report(name, figures, options):
    result = {
        "backend": BACKEND,
        "batch_size": options.batch_size,
        "image_size": options.image_size,
        "measured": name,
        **figures,
    }
    print(json.dumps(result), flush=True)


def make_crops(options):
    """Normalised images that cost nothing to get."""
    size = options.image_size
    pixels = np.random.default_rng(0).random((size + 32, size + 32, 3))
    normalize = keras_capi.layers.ImageNetNormalization((0, 1))
    image = keras.ops.convert_to_numpy(normalize(pixels))
    return keras_capi.data.RandomCrops(
        [image], size, options.batch_size, options.steps, seed=0
    )


def measure_views(images, options):
    multi_crop = keras_capi.layers.MultiCrop()
    shape = (len(images), multi_crop.numbers_per_image)
    numbers = np.random.default_rng(0).random(shape, dtype="float32")
    ways = {"views, one by one": multi_crop}
    if BACKEND != "torch":
        ways["views, compiled"] = compiled(
            lambda images, numbers: multi_crop(images, numbers)
        )
    for name, make_views in ways.items():

        def call(make_views=make_views):
            views = make_views(images, numbers)
            return keras.tree.map_structure(keras.ops.convert_to_numpy, views)

        report(name, least(call, options.repetitions), options)
    return call()


def measure_training(name, dataset, options):
    encoder = keras_capi.encoders.ViT(16, 12, 192, 3, interpolation_offset=0.1)
    model = keras_capi.methods.DINO(encoder, options.prototypes)
    total_steps = options.steps * (options.repetitions + 1)
    model.compile(model.published_optimizer(total_steps, options.batch_size))

    def fit():
        with warnings.catch_warnings():
            # Of the end of the training, before that of its schedule.
            warnings.simplefilter("ignore")
            model.fit(dataset, verbose=0)

    report(name, least(fit, options.repetitions, options.steps), options)


def main(options):
    crops = make_crops(options)
    views = measure_views(crops[0][0], options)
    measure_training("step, views given", Fixed(views, options.steps), options)
    measure_training("step, with views", crops, options)
    in_threads = keras_capi.data.ViewBatches(
        crops, keras_capi.layers.MultiCrop(), workers=options.workers
    )
    measure_training(
        f"step, views in {options.workers} thread(s)", in_threads, options
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--prototypes", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=2)
    main(parser.parse_args())
