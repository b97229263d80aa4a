"""How many images a second does the input pipeline prepare?

    KERAS_BACKEND=torch python benchmarks/data.py

Writes JPEGs of a common and of a camera's size, and reads them through
`keras_capi.data.AugmentedImages` by different numbers of threads. Compare with
the images a second of `benchmarks/train_step.py`: the device is kept busy as
long as these are more.
"""

import argparse
import concurrent.futures
import json
import pathlib
import tempfile
import time

import numpy as np
from PIL import Image

import keras_capi

SIZES = {"640 x 480": (480, 640), "4000 x 3000": (3000, 4000)}


def write_photos(folder, size, count):
    """Writes smooth random images with as much noise as photographs have."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(count):
        coarse = generator.integers(0, 256, (30, 40, 3), "uint8")
        image = Image.fromarray(coarse).resize(size[::-1], Image.BICUBIC)
        noise = generator.normal(0, 4, (*size, 1))
        pixels = np.clip(np.asarray(image) + noise, 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{index}.jpg", quality=90)


def measure(folder, image_size, batch_size, workers, seconds):
    dataset = keras_capi.data.AugmentedImages(
        folder, image_size, batch_size, seed=0, workers=workers
    )
    # As Keras does: each thread makes whole batches.
    num_images, start = 0, time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(workers) as executor:
        epoch = 0
        while time.perf_counter() - start < seconds:
            for (batch,) in executor.map(
                dataset.__getitem__, range(len(dataset))
            ):
                num_images += len(batch)
            epoch += 1
            dataset.go_to(epoch, 0)
    return num_images / (time.perf_counter() - start)


def main(image_size, batch_size, seconds):
    with tempfile.TemporaryDirectory() as root:
        for name, size in SIZES.items():
            folder = pathlib.Path(root) / name
            write_photos(folder, size, 64)
            num_bytes = sum(x.stat().st_size for x in folder.iterdir()) / 64
            for workers in (1, 2, 4):
                speed = measure(
                    folder, image_size, batch_size, workers, seconds
                )
                result = {
                    "photos": name,
                    "kilobytes": round(num_bytes / 1000),
                    "image_size": image_size,
                    "workers": workers,
                    "images_per_second": round(speed),
                }
                print(json.dumps(result), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    main(**vars(parser.parse_args()))
