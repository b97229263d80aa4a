"""Are views made as by torchvision and Pillow, which published codes use?

    pip install torchvision scipy
    KERAS_BACKEND=torch python benchmarks/torchvision_views.py

Applies both to the same pixels, with the same strengths and windows, and prints
a line each with the largest difference, of values from 0 to 255. Of windows,
which both draw, it prints the largest distance of the distributions of their
places, sizes, areas and aspect ratios (Kolmogorov-Smirnov), beside the distance
that 1 % of pairs of equal distributions exceed.
"""

import itertools
import json

import numpy as np
import torch
from PIL import Image
from PIL import ImageFilter
from PIL import ImageOps
from scipy.stats import ks_2samp
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional

import keras_capi
from keras_capi.ops.colors import changes
from keras_capi.ops.images import resampling
from keras_capi.ops.images.blur import gaussian_blur

NUM_WINDOWS = 20_000
# Image size, scale and aspect ratio; in the long ones no window may fit.
WINDOWS = [
    ((60, 90), (0.08, 1.0), (3 / 4, 4 / 3)),
    ((50, 50), (0.05, 0.14), (3 / 4, 4 / 3)),
    ((200, 32), (0.14, 1.0), (3 / 4, 4 / 3)),
    ((32, 200), (0.6, 1.0), (3 / 4, 4 / 3)),
    ((40, 50), (0.2, 1.0), (1 / 2, 2.0)),
]
RADII = (0.1, 0.5, 1.0, 1.7, 2.0)


def make_pixels(generator, *sizes):
    return generator.integers(0, 256, (*sizes, 3), dtype="uint8")


def to_tensor(pixels):
    return torch.tensor(np.moveaxis(pixels, -1, -3).astype("float32"))


def difference(ours, theirs):
    return round(float(np.abs(np.asarray(ours) - np.asarray(theirs)).max()), 4)


def jitter(generator, strengths=(0.4, 0.4, 0.2, 0.1)):
    """Yields the colour jitter in each of its orders, several times."""
    orders = list(itertools.permutations(range(4))) * 8
    images = to_tensor(make_pixels(generator, len(orders), 20, 24)) / 255
    uniform = generator.random((len(orders), 6)).astype("float32")
    uniform[:, 0] = 0.0
    uniform[:, 5] = (np.arange(len(orders)) % 24 + 0.5) / 24
    numbers = changes.random_jitter(torch.tensor(uniform), *strengths, 1.0)
    ours = changes.jitter(images, *numbers)
    adjust = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    theirs = []
    for image, row, order in zip(images, uniform, orders, strict=True):
        amounts = np.array(strengths) * (2 * row[1:5] - 1) + [1, 1, 1, 0]
        for change in order:
            image = adjust[change](image, amounts[change])
        theirs.append(image)
    worst = difference(ours * 255, torch.stack(theirs) * 255)
    yield {"view": "jitter", "torchvision": worst}


def crops(generator, count=40, image_size=(70, 90)):
    """Yields resized crops: Pillow rounds and clips between the two axes."""
    pixels = make_pixels(generator, *image_size)
    for name, mode in (
        ("bicubic", InterpolationMode.BICUBIC),
        ("bilinear", InterpolationMode.BILINEAR),
    ):
        layer = keras_capi.layers.RandomResizedCrop(
            32, 32, scale=(0.1, 1.0), interpolation=name, seed=0
        )
        worst = {"torchvision": 0.0, "pillow": 0.0}
        for _ in range(count):
            numbers = generator.random((1, layer.numbers_per_image))
            numbers = torch.tensor(numbers.astype("float32"))
            ours = layer(pixels[None].astype("float32"), numbers=numbers)[0]
            windows = resampling.random_windows(
                numbers, image_size, layer.scale, layer.aspect_ratio
            )
            window = [int(x[0]) for x in windows]
            for key, image in (
                ("torchvision", to_tensor(pixels)),
                ("pillow", Image.fromarray(pixels)),
            ):
                theirs = functional.resized_crop(
                    image, *window, (32, 32), mode, antialias=True
                )
                if key == "torchvision":
                    theirs = theirs.permute(1, 2, 0)
                else:
                    ours = ours.clip(0.0, 255.0)
                worst[key] = max(worst[key], difference(ours, theirs))
        yield {"view": f"{name} crop", **worst}


def blur(generator):
    pixels = make_pixels(generator, 40, 48)
    for radius in RADII:
        ours = gaussian_blur(to_tensor(pixels)[None], torch.tensor([radius]))
        theirs = Image.fromarray(pixels).filter(
            ImageFilter.GaussianBlur(radius)
        )
        ours = ours[0].permute(1, 2, 0)
        yield {"view": f"blur {radius}", "pillow": difference(ours, theirs)}


def solarization(generator):
    pixels = make_pixels(generator, 40, 48)
    ours = changes.solarize(
        to_tensor(pixels)[None] / 255, torch.tensor([True])
    )[0]
    theirs = ImageOps.solarize(Image.fromarray(pixels), 128)
    ours = ours.permute(1, 2, 0) * 255
    yield {"view": "solarize", "pillow": difference(ours, theirs)}


def windows(generator):
    for image_size, scale, aspect_ratio in WINDOWS:
        numbers = generator.random(
            (NUM_WINDOWS, resampling.NUMBERS_PER_WINDOW)
        ).astype("float32")
        ours = resampling.random_windows(
            torch.tensor(numbers), image_size, scale, aspect_ratio
        )
        image = torch.zeros(1, *image_size)
        theirs = [
            transforms.RandomResizedCrop.get_params(
                image, list(scale), list(aspect_ratio)
            )
            for _ in range(NUM_WINDOWS)
        ]
        pairs = zip(
            features(np.array([np.asarray(x) for x in ours])),
            features(np.array(theirs).T),
            strict=True,
        )
        distance = max(ks_2samp(a, b).statistic for a, b in pairs)
        yield {
            "view": f"windows of {image_size}, scale {scale}",
            "distance": round(float(distance), 4),
            "of_equal_distributions": round(1.63 * (2 / NUM_WINDOWS) ** 0.5, 4),
        }


def features(values):
    """Returns tops, lefts, heights, widths, areas and aspect ratios."""
    _, _, heights, widths = values
    return [*values, heights * widths, widths / heights]


def main():
    torch.manual_seed(0)
    for compare in (jitter, crops, blur, solarization, windows):
        for line in compare(np.random.default_rng(0)):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
