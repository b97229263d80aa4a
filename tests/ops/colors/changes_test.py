import colorsys
import itertools

import numpy as np
import pytest
from helpers import to_numpy
from keras import ops
from PIL import Image
from PIL import ImageEnhance
from PIL import ImageOps

from keras_capi.ops.colors import changes

ORDERS = list(itertools.permutations(range(4)))
STRENGTHS = (0.4, 0.3, 0.2, 0.1)
# One image for each order of the changes.
IMAGES = np.random.default_rng(0).random((24, 6, 5, 3), dtype="float32")


def to_planes(images):
    return ops.convert_to_tensor(np.moveaxis(images, -1, 1))


def from_planes(images):
    return np.moveaxis(to_numpy(images), 1, -1)


def gray_of(image):
    return (image @ [0.299, 0.587, 0.114])[..., None]


def change_hue(image, shift):
    turned = np.empty_like(image)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[place])
        turned[place] = colorsys.hsv_to_rgb(
            (hue + shift) % 1, saturation, value
        )
    return turned


def blend(image, other, factor):
    return np.clip(factor * image + (1 - factor) * other, 0, 1)


# What torchvision does, one image at a time, in its order.
CHANGES = [
    lambda image, factor: blend(image, 0.0, factor),
    lambda image, factor: blend(image, gray_of(image).mean(), factor),
    lambda image, factor: blend(image, gray_of(image), factor),
    change_hue,
]


def numbers_of_all_orders():
    """Uniform numbers that change all images, each in another order."""
    numbers = np.random.default_rng(1).random((24, 6), dtype="float32")
    numbers[:, 0] = 0.0
    numbers[:, 5] = (np.arange(24) + 0.5) / 24
    return numbers


def test_jitter_equals_four_changes_in_each_order():
    numbers = numbers_of_all_orders()
    jitter = changes.random_jitter(
        ops.convert_to_tensor(numbers), *STRENGTHS, 1
    )
    outputs = from_planes(changes.jitter(to_planes(IMAGES), *jitter))
    # The amounts, from the least to the largest.
    low = np.array([0.6, 0.7, 0.8, -0.1])
    amounts = low + numbers[:, 1:5] * 2 * np.array(STRENGTHS)
    for image, order, output, amount in zip(
        IMAGES.astype("float64"), ORDERS, outputs, amounts, strict=True
    ):
        for change in order:
            image = CHANGES[change](image, amount[change])
        np.testing.assert_allclose(output, image, atol=2e-6)


def test_order_and_clipping_matter():
    numbers = numbers_of_all_orders()
    numbers[:, 1:5] = [0.9, 0.9, 0.9, 0.9]
    jitter = changes.random_jitter(
        ops.convert_to_tensor(numbers), *STRENGTHS, 1
    )
    images = np.tile(IMAGES[:1], (24, 1, 1, 1))
    outputs = from_planes(changes.jitter(to_planes(images), *jitter))
    assert len({output.round(4).tobytes() for output in outputs}) > 12


@pytest.mark.parametrize("rate", [0.0, 0.8, 1.0])
def test_rate_is_the_share_of_changed_images(rate):
    numbers = np.random.default_rng(2).random((4000, 6), dtype="float32")
    shares, shifts = changes.random_jitter(
        ops.convert_to_tensor(numbers), *STRENGTHS, rate
    )
    shares, shifts = np.stack(list(map(to_numpy, shares))), to_numpy(shifts)
    changed = (shares.transpose(1, 2, 0) != [1, 0, 0]).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, shifts != 0)
    assert abs(changed.mean() - rate) < 0.02


def test_factors_are_uniform_and_independent():
    numbers = np.random.default_rng(3).random((8000, 6), dtype="float32")
    shares, shifts = changes.random_jitter(
        ops.convert_to_tensor(numbers), 0.4, 1.5, 0.2, 0.1, 1.0
    )
    # Each image is scaled by all three factors, which the grey parts tell.
    of_image, of_gray, of_mean = (
        x.astype("float64") for x in map(to_numpy, shares)
    )
    saturation = 1 - of_gray.sum(axis=1)
    contrast = 1 - of_mean.sum(axis=1)
    brightness = of_image.prod(axis=1) / (saturation * contrast)
    for values, low, high in (
        (saturation, 0.8, 1.2),
        # Not below 0.
        (contrast, 0.0, 2.5),
        (to_numpy(shifts), -0.1, 0.1),
    ):
        deciles = np.quantile(values, np.linspace(0, 1, 11))
        expected = np.linspace(low, high, 11)
        np.testing.assert_allclose(deciles, expected, atol=0.04 * (high - low))
    large = contrast > 0.1
    assert abs(brightness[large].mean() - 1.0) < 0.02
    correlations = np.corrcoef([saturation, contrast, to_numpy(shifts)])
    assert np.abs(correlations - np.eye(3)).max() < 0.05


def test_orders_are_uniform():
    numbers = np.zeros((4800, 6), "float32")
    numbers[:, 5] = np.random.default_rng(4).random(4800)
    # The largest float below 1 still has an order.
    numbers[0, 5] = np.nextafter(np.float32(1), np.float32(0))
    numbers[:, 1:5] = 0.1, 0.2, 0.3, 0.4
    shares, _ = changes.random_jitter(
        ops.convert_to_tensor(numbers), *STRENGTHS, 1.0
    )
    shares = np.concatenate(list(map(to_numpy, shares)), axis=1)
    _, counts = np.unique(shares, axis=0, return_counts=True)
    assert len(counts) == 24
    assert 140 < counts.min() and counts.max() < 260


@pytest.mark.parametrize(
    ("enhance", "number"),
    [
        (ImageEnhance.Brightness, 1),
        (ImageEnhance.Contrast, 2),
        (ImageEnhance.Color, 3),
    ],
)
def test_equals_pil_but_for_its_rounding(enhance, number):
    bytes_ = (IMAGES * 255).round().astype("uint8")
    numbers = np.full((24, 6), 0.5, "float32")
    numbers[:, 0] = 0.0
    numbers[:, number] = np.linspace(0, 0.99, 24)
    jitter = changes.random_jitter(
        ops.convert_to_tensor(numbers), 0.4, 0.4, 0.4, 0.1, 1.0
    )
    outputs = changes.jitter(to_planes(bytes_ / np.float32(255)), *jitter)
    for image, output, amount in zip(
        bytes_, from_planes(outputs), numbers[:, number], strict=True
    ):
        expected = enhance(Image.fromarray(image)).enhance(0.6 + 0.8 * amount)
        np.testing.assert_allclose(output * 255, np.asarray(expected), atol=2.0)


def test_hue_of_grey_and_black_stays():
    grays = np.tile(
        np.linspace(0, 1, 5, dtype="float32")[:, None], (2, 6, 1, 3)
    )
    outputs = changes.shift_hue(
        to_planes(grays), ops.convert_to_tensor([0.3, -0.5])
    )
    np.testing.assert_allclose(from_planes(outputs), grays, atol=1e-6)


def test_solarize_equals_pil():
    ramp = np.arange(256, dtype="uint8").reshape(16, 16)
    images = np.tile((ramp / np.float32(255))[None, None], (2, 3, 1, 1))
    outputs = to_numpy(
        changes.solarize(
            ops.convert_to_tensor(images), ops.convert_to_tensor([True, False])
        )
    )
    expected = ImageOps.solarize(Image.fromarray(ramp), threshold=128)
    np.testing.assert_array_equal(
        (outputs[0, 0] * 255).round(), np.asarray(expected)
    )
    np.testing.assert_array_equal(outputs[1], images[1])


def test_gray_of_other_channels_is_their_mean():
    images = np.random.default_rng(5).random((2, 5, 4, 4), dtype="float32")
    shares = map(ops.convert_to_tensor, ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]))
    outputs = to_numpy(
        changes.blend_with_gray(ops.convert_to_tensor(images), *shares)
    )
    expected = images[0].mean(axis=0)
    np.testing.assert_allclose(
        outputs[0], np.tile(expected, (5, 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(outputs[1], images[1].mean(), atol=1e-6)
