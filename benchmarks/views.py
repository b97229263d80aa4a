"""What do a method's views cost, in its step and in threads beside it?

    KERAS_BACKEND=jax taskset -c 0 python benchmarks/views.py --method dino

Trains a ViT-Ti/16 by a method that looks at other versions of images: views,
turns, patches of a grid, images without colours. Steps with such that are there
already (`given`) and steps that make them (`made`) take turns; `views_share` is
what making them adds, the median over the turns, as a share of a step without.
It is to be 1 at most. `encoder` is the encoder's own step: forward and
backward over the same views, without teacher, heads and optimizer, and
`encoder_share` what making them adds, as a share of that.

Where a layer makes the views, threads make them too, `--threads` at a time
(`keras_capi.data.ViewBatches`): images a second on the clock, and what one
takes of all threads' CPU time. Seconds are CPU time of one batch, which other
programs disturb least; pin the process to one core for those of steps, and to
none for several threads. The maths has one thread.
"""

import argparse
import concurrent.futures
import json
import os
import statistics
import time

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

# Prototypes as few as a small training has: the encoder is what counts.
METHODS = {
    "dino": ("DINO", {"num_prototypes": 4096}),
    "ibot": ("IBOT", {"num_prototypes": 4096}),
    "dinov2": (
        "DINOv2",
        {"num_prototypes": 4096, "num_patch_prototypes": 4096},
    ),
    "swav": ("SwAV", {}),
    "deepcluster": ("DeepCluster", {}),
    "simclr": ("SimCLR", {}),
    "rotation": ("RotationPrediction", {}),
    "relative_position": ("RelativePosition", {}),
    "colorization": ("Colorization", {}),
}
# What encoders see.
IMAGES = (
    "global_views",
    "local_views",
    "rotated_images",
    "patches",
    "corrupted_images",
)
# What is made of given views, too: masks, and which patches are compared.
MADE_OF_VIEWS = {"mask", "hidden_indices", "pairs"}


def make_crops(options):
    """Normalised images that cost nothing to get."""
    size = options.image_size
    pixels = np.random.default_rng(0).random((size + 32, size + 32, 3))
    normalize = keras_capi.layers.ImageNetNormalization((0, 1))
    image = keras.ops.convert_to_numpy(normalize(pixels))
    return keras_capi.data.RandomCrops(
        [image], size, options.batch_size, 16, seed=0
    )


def make_model(options):
    encoder = keras_capi.encoders.ViT(16, 12, 192, 3, interpolation_offset=0.1)
    name, arguments = METHODS[options.method]
    if options.method == "deepcluster":
        arguments = {**arguments, "num_images": options.batch_size}
    model = getattr(keras_capi.methods, name)(encoder, **arguments)
    model.compile(model.published_optimizer(10_000, options.batch_size))
    return model


class EncoderStep(keras.Model):
    """Forward and backward over views, and as good as nothing else."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.built = True

    def call(self, inputs, training=None):
        total = 0.0
        for images in inputs.values():
            images = keras.ops.reshape(images, (-1, *images.shape[-3:]))
            features = self.encoder(images, training=training)
            total += keras.ops.mean(features["global"])
            total += keras.ops.mean(features["feature_map"])
        return total

    def compute_loss(self, x, y, y_pred, *arguments, **keywords):
        return y_pred


def cpu_seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def measure_steps(model, images, options):
    """Returns CPU seconds of steps, which take turns."""
    made = {"images": images}
    if options.method == "deepcluster":
        made["indices"] = np.arange(len(images), dtype="int32")
    given = keras.tree.map_structure(
        keras.ops.convert_to_numpy, model.prepare(made, True)
    )
    views = {k: x for k, x in given.items() if k in IMAGES}
    if "pairs" in given:
        del given["labels"]
    given = {k: x for k, x in given.items() if k not in MADE_OF_VIEWS}
    student = getattr(model, "student", model.encoder)
    encoder = EncoderStep(student)
    encoder.compile(keras.optimizers.SGD(0.0), jit_compile=model.jit_compile)
    steps = {
        "given": lambda: model.train_on_batch(given),
        "made": lambda: model.train_on_batch(made),
        "encoder": lambda: encoder.train_on_batch(views),
    }
    for step in steps.values():
        step()  # compiles
    rounds = [
        {name: cpu_seconds(step) for name, step in steps.items()}
        for _ in range(options.rounds)
    ]

    def median(function):
        return round(statistics.median(map(function, rounds)), 3)

    return {
        **{name: median(lambda turn, name=name: turn[name]) for name in steps},
        "views_share": median(
            lambda turn: (turn["made"] - turn["given"]) / turn["given"]
        ),
        "encoder_share": median(
            lambda turn: (turn["made"] - turn["given"]) / turn["encoder"]
        ),
    }


def measure_threads(dataset, threads, num_batches):
    """Returns images a second, and CPU seconds of one."""
    dataset.make_batch(0, 0)
    start = time.perf_counter(), time.process_time()
    with concurrent.futures.ThreadPoolExecutor(threads) as executor:
        batches = executor.map(
            lambda batch: dataset.make_batch(1, batch), range(num_batches)
        )
        count = sum(dataset.batch_size for _ in batches)
    seconds = time.perf_counter() - start[0]
    return {
        "images_per_second": round(count / seconds, 1),
        "cpu_seconds_per_image": round(
            (time.process_time() - start[1]) / count, 4
        ),
    }


def main(options):
    crops = make_crops(options)
    model = make_model(options)
    shared = {
        "backend": keras.backend.backend(),
        "method": options.method,
        "batch_size": options.batch_size,
    }
    if options.rounds:
        figures = measure_steps(model, crops.make_batch(0, 0)[0], options)
        print(json.dumps({**shared, **figures}), flush=True)
    if hasattr(getattr(model, "views", None), "numbers_per_image"):
        dataset = keras_capi.data.ViewBatches(crops, model.views)
        for threads in options.threads:
            figures = measure_threads(dataset, threads, options.batches)
            print(
                json.dumps({**shared, "threads": threads, **figures}),
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, default="dino")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=[1])
    parser.add_argument("--batches", type=int, default=6)
    main(parser.parse_args())
