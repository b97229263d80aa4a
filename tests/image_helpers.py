"""Images for the tests of data sets, and data sets of them."""

import io

import numpy as np
from PIL import Image

from keras_capi.data import AugmentedImages

SIZE = 16


def identity(batch):
    return batch


def photo(index, height=40, width=50):
    """An image whose colour tells which one it is."""
    image = np.zeros((height, width, 3), "uint8")
    image[...] = (10 * index, 100, 200)
    return image


def write_folder(folder, count=12):
    folder.mkdir(exist_ok=True)
    for index in range(count):
        Image.fromarray(photo(index)).save(folder / f"{index:02}.png")
    return folder


def make_dataset(source, **overrides):
    arguments = {
        "image_size": SIZE,
        "batch_size": 4,
        "normalization": identity,
        "seed": 0,
        **overrides,
    }
    return AugmentedImages(source, **arguments)


def run_epoch(dataset):
    """The batches of an epoch, as `fit` asks for them."""
    dataset.on_epoch_begin()
    batches = [dataset[index][0] for index in range(len(dataset))]
    dataset.on_epoch_end()
    return batches


def which(batches):
    """The numbers of the images in batches."""
    return [round(float(x)) for x in np.concatenate(batches)[:, 8, 8, 0] / 10]


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
