"""Small scenes of real garments with a class for every pixel.

Cuts the garments of Fashion-MNIST out and pastes two to four of them on a
background, so that there is something to segment: class 0 is the background,
classes 1 to 10 are the garments. Scenes for tests use test garments only.
"""

import gzip
import pathlib

import numpy as np

SOURCE = "/usr/share/datasets/fashion-mnist"
GARMENT_SIZE = 28


def load_garments(split, source=SOURCE):
    """Returns grey images `(n, 28, 28)` and labels; `split`: train or t10k."""
    prefix = pathlib.Path(source) / split
    images = gzip.open(f"{prefix}-images-idx3-ubyte.gz").read()
    labels = gzip.open(f"{prefix}-labels-idx1-ubyte.gz").read()
    images = np.frombuffer(images, "uint8", offset=16)
    return (
        images.reshape(-1, GARMENT_SIZE, GARMENT_SIZE),
        np.frombuffer(labels, "uint8", offset=8),
    )


def make_background(generator, size, style):
    """`plain`: grey. `textured`: a gradient of two colours with stripes."""
    if style == "plain":
        grey = generator.uniform(0, 0.6)
        noise = generator.normal(0, 0.03, (size, size, 1))
        return grey + noise.repeat(3, axis=2)
    rows, columns = np.mgrid[0:size, 0:size] / size
    first, second = generator.uniform(0, 1, (2, 3))
    angle = generator.uniform(0, 2 * np.pi)
    mix = (np.cos(angle) * columns + np.sin(angle) * rows + 1) / 2
    frequency = generator.uniform(2, 12, 2)
    waves = frequency[0] * columns + frequency[1] * rows
    stripes = np.sin(2 * np.pi * waves + generator.uniform(0, 2 * np.pi))
    ground = first + (second - first) * mix[..., None]
    ground = ground + 0.15 * stripes[..., None]
    return ground + generator.normal(0, 0.05, ground.shape)


def make_scenes(split, count, size=64, style="plain", seed=0, source=SOURCE):
    """Returns images `(n, size, size, 3)` and masks `(n, size, size)`."""
    garments, classes = load_garments(split, source)
    generator = np.random.default_rng(seed)
    images = np.empty((count, size, size, 3), "uint8")
    masks = np.zeros((count, size, size), "uint8")
    for image, mask in zip(images, masks, strict=True):
        scene = make_background(generator, size, style)
        for _ in range(generator.integers(2, 5)):
            chosen = generator.integers(len(garments))
            garment = garments[chosen] / 255.0
            if generator.random() < 0.5:
                garment = garment[:, ::-1]
            top, left = generator.integers(0, size - GARMENT_SIZE + 1, 2)
            window = (
                slice(top, top + GARMENT_SIZE),
                slice(left, left + GARMENT_SIZE),
            )
            if style == "plain":
                tint = np.full(3, generator.uniform(0.5, 1))
            else:
                tint = generator.uniform(0.3, 1, 3)
            inside = garment > 0.1
            scene[window][inside] = (garment[..., None] * tint)[inside]
            mask[window][inside] = classes[chosen] + 1
        image[:] = (np.clip(scene, 0, 1) * 255).astype("uint8")
    return images, masks
