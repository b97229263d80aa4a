"""How many images a second does the input pipeline prepare, and a step take?

    KERAS_BACKEND=torch python benchmarks/data.py

Writes JPEGs of a common and of a camera's size, and reads them through
`keras_capi.data.AugmentedImages`, by different numbers of threads: images of
224 pixels, and the views of DINO, 2 of 224 and 8 of 96 pixels
(`keras_capi.data.ViewBatches`).

Then trains CAPI on a ViT-Ti/16 by `fit`, with images in memory and from the
JPEGs of the common size, and prints images per second of whole epochs but the
first, which compiles. `--step` gives the images per second of another training
in its place. The device is kept busy as long as the pipeline makes more.
"""

import argparse
import concurrent.futures
import json
import pathlib
import tempfile
import time

import keras
import numpy as np
from PIL import Image

import keras_capi

SIZES = {"640 x 480": (480, 640), "4000 x 3000": (3000, 4000)}
NUM_PHOTOS = 16
# Each is read so often in an epoch, as large ones take long to write.
SAMPLES_PER_IMAGE = 8
THREADS = (1, 2, 4)
# As large as `docs/data.md` advises for views of 224 pixels.
BEFORE_VIEWS = 336


def write_photos(folder, size, count=NUM_PHOTOS):
    """Writes smooth random images with as much noise as photographs have."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(count):
        coarse = generator.integers(0, 256, (30, 40, 3), "uint8")
        image = Image.fromarray(coarse).resize(size[::-1], Image.BICUBIC)
        noise = generator.normal(0, 4, (*size, 1))
        pixels = np.clip(np.asarray(image) + noise, 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{index}.jpg", quality=90)


def report(**figures):
    result = {"backend": keras.backend.backend(), **figures}
    print(json.dumps(result), flush=True)


def make_images(folder, options, **overrides):
    return keras_capi.data.AugmentedImages(
        folder,
        options.image_size,
        options.batch_size,
        samples_per_image=SAMPLES_PER_IMAGE,
        **overrides,
    )


def make_views(folder, options):
    images = keras_capi.data.AugmentedImages(
        folder,
        BEFORE_VIEWS,
        options.batch_size,
        scale=(1.0, 1.0),
        aspect_ratio=(1.0, 1.0),
        samples_per_image=SAMPLES_PER_IMAGE,
    )
    return keras_capi.data.ViewBatches(images, keras_capi.layers.MultiCrop())


def measure_data(dataset, threads, seconds):
    """Returns images per second, with batches made as Keras has them made."""
    dataset.make_batch(0, 0)
    num_batches, epoch, start = 0, 1, time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(threads) as executor:
        while time.perf_counter() - start < seconds:
            dataset.go_to(epoch, 0)
            made = executor.map(dataset.__getitem__, range(len(dataset)))
            num_batches += sum(1 for _ in made)
            epoch += 1
    duration = time.perf_counter() - start
    return num_batches * dataset.batch_size / duration


def make_model(image_size):
    backbone = keras_capi.models.CAPIBackbone(
        16, 12, 6, 192, num_heads=3, image_shape=(image_size, image_size, 3)
    )
    model = keras_capi.models.CAPI(
        backbone, clustering=keras_capi.layers.OnlineClustering(4096)
    )
    model.compile(keras_capi.optimizers.capi_optimizer(1e-3))
    return model


class InMemory(keras.utils.PyDataset):
    """The first batch again and again."""

    def __init__(self, dataset):
        super().__init__()
        self.batch = dataset.make_batch(0, 0)
        self.num_batches_ = len(dataset)

    def __len__(self):
        return self.num_batches_

    def __getitem__(self, index):
        return self.batch


def measure_fit(model, dataset, num_images, repetitions):
    model.fit(dataset, epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(dataset, epochs=repetitions, verbose=0)
    return num_images * repetitions / (time.perf_counter() - start)


def main(options):
    with tempfile.TemporaryDirectory() as root:
        for name, size in SIZES.items():
            folder = pathlib.Path(root) / name
            write_photos(folder, size)
            for made, make in (("images", make_images), ("views", make_views)):
                dataset = make(folder, options)
                for threads in THREADS:
                    speed = measure_data(dataset, threads, options.seconds)
                    report(
                        photos=name,
                        made=made,
                        threads=threads,
                        images_per_second=round(speed),
                    )
        if options.step is not None:
            report(trained_on="as given", images_per_second=options.step)
            return
        model = make_model(options.image_size)
        folder = pathlib.Path(root) / next(iter(SIZES))
        datasets = {"memory": InMemory(make_images(folder, options))}
        for workers in (1, 2):
            datasets[f"JPEGs, workers={workers}"] = make_images(
                folder, options, workers=workers
            )
        num_images = len(datasets["memory"]) * options.batch_size
        for name, dataset in datasets.items():
            speed = measure_fit(model, dataset, num_images, options.repetitions)
            report(trained_on=name, images_per_second=round(speed, 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--step", type=float)
    parser.add_argument("--repetitions", type=int, default=1)
    main(parser.parse_args())
