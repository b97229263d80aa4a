import keras
import numpy as np
import pytest
from backend_helpers import FASTEST
from backend_helpers import compile_layer
from helpers import to_numpy
from keras import ops

from keras_capi.layers import ColorAugmentation
from keras_capi.layers import ImageNetNormalization
from keras_capi.ops.colors import changes
from keras_capi.ops.images.blur import gaussian_blur
from tests.layers import battery

PIXELS = np.random.default_rng(0).random((4, 12, 10, 3), dtype="float32")
IMAGES = to_numpy(ImageNetNormalization((0, 1))(PIXELS))
# Nothing but what a test turns on.
NOTHING = {"jitter_rate": 0.0, "gray_rate": 0.0, "blur_rate": 0.0}

CASE = battery.Case(
    layer_class=ColorAugmentation,
    arguments={
        "brightness": 0.3,
        "contrast": 0.5,
        "saturation": 0.1,
        "hue": 0.2,
        "jitter_rate": 0.9,
        "gray_rate": 0.1,
        "blur_rate": 0.6,
        "blur_radius": (0.2, 1.0),
        "solarize_rate": 0.3,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.3, 0.2, 0.4),
        "seed": 4,
    },
    inputs=(IMAGES,),
    outputs=battery.Output(IMAGES.shape),
    symbolic_shapes=((None, None, 3),),
    is_random=True,
    training=True,
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def to_pixels(images):
    mean = np.array([0.485, 0.456, 0.406])
    std = np.array([0.229, 0.224, 0.225])
    return to_numpy(ops.cast(images, "float32")) * std + mean


def test_changes_come_in_the_published_order():
    layer = ColorAugmentation(gray_rate=0.5, solarize_rate=0.5)
    numbers = np.random.default_rng(1).random((4, 10), dtype="float32")
    # Grey, blurred and solarised; the opposite; and two between.
    numbers[:, [6, 7, 9]] = [
        [0, 0, 0],
        [0.9, 0.9, 0.9],
        [0, 0.9, 0],
        [0.9, 0, 0],
    ]
    images = ops.convert_to_tensor(PIXELS.transpose(0, 3, 1, 2))
    uniform = ops.convert_to_tensor(numbers[:, :6])
    images = changes.jitter(
        images, *changes.random_jitter(uniform, 0.4, 0.4, 0.2, 0.1, 0.8)
    )
    pixels = to_numpy(images)
    grays = np.tensordot(pixels, [0.299, 0.587, 0.114], ([1], [0]))[:, None]
    pixels = np.where(numbers[:, 6, None, None, None] < 0.5, grays, pixels)
    radii = np.where(numbers[:, 7] < 0.5, 0.1 + 1.9 * numbers[:, 8], 0.0)
    pixels = to_numpy(
        gaussian_blur(
            ops.convert_to_tensor(pixels, "float32"),
            ops.convert_to_tensor(radii, "float32"),
        )
    )
    inverted = (numbers[:, 9, None, None, None] < 0.5) & (pixels > 0.5)
    pixels = np.where(inverted, 1 - pixels, pixels).transpose(0, 2, 3, 1)
    outputs = to_pixels(layer(IMAGES, numbers=numbers))
    np.testing.assert_allclose(outputs, pixels, atol=1e-5)


def test_nothing_changes_at_inference():
    outputs = ColorAugmentation()(IMAGES * 9, training=False)
    np.testing.assert_array_equal(to_numpy(outputs), IMAGES * 9)


def test_nothing_changes_but_clipping_if_all_rates_are_0():
    outputs = ColorAugmentation(**NOTHING)(IMAGES * 2)
    expected = np.clip(to_pixels(IMAGES * 2), 0, 1)
    np.testing.assert_allclose(to_pixels(outputs), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("jitter_rate", 0.8),
        ("gray_rate", 0.2),
        ("blur_rate", 0.5),
        ("solarize_rate", 0.2),
    ],
)
def test_each_image_draws_whether_it_changes(name, rate):
    images = np.tile(IMAGES[:1, :4, :4], (1000, 1, 1, 1))
    layer = ColorAugmentation(**{**NOTHING, name: rate}, seed=0)
    outputs = to_numpy(compile_layer(layer, FASTEST)(images))
    changes = np.abs(outputs - images).max(axis=(1, 2, 3))
    changed = changes > 1e-4
    assert abs(changed.mean() - rate) < 0.05
    if name in ("jitter_rate", "blur_rate"):
        # And how much.
        assert len(np.unique(changes[changed].round(5))) > 0.5 * changed.sum()


def test_seed_fixes_the_sequence():
    first, second, other = (ColorAugmentation(seed=s) for s in (1, 1, 9))
    draws = [to_numpy(first(IMAGES)) for _ in range(2)]
    for draw in draws:
        np.testing.assert_array_equal(draw, to_numpy(second(IMAGES)))
    assert np.abs(draws[0] - draws[1]).max() > 0.01
    assert np.abs(draws[0] - to_numpy(other(IMAGES))).max() > 0.01


def test_takes_views_of_images_and_single_images():
    layer = ColorAugmentation()
    numbers = np.random.default_rng(2).random((4, 10), dtype="float32")
    expected = to_numpy(layer(IMAGES, numbers=numbers))
    views = layer(
        IMAGES.reshape(2, 2, 12, 10, 3), numbers=numbers.reshape(2, 20)
    )
    np.testing.assert_array_equal(
        to_numpy(views).reshape(IMAGES.shape), expected
    )
    single = compile_layer(layer, FASTEST, numbers=numbers[1])(IMAGES[1])
    np.testing.assert_allclose(to_numpy(single), expected[1], atol=1e-5)


def test_other_channels_are_only_blurred():
    images = np.random.default_rng(3).normal(size=(4, 12, 10, 5))
    numbers = np.zeros((4, 10), "float32")
    numbers[:, 8] = 0.5
    images = ops.convert_to_tensor(images, "float32")
    outputs = ColorAugmentation(solarize_rate=1.0)(images, numbers=numbers)
    blurred = gaussian_blur(
        ops.transpose(images, (0, 3, 1, 2)), ops.full((4,), 1.05)
    )
    expected = to_numpy(blurred).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 5])
def test_other_channels_change_if_their_normalisation_is_known(channels):
    pixels = np.random.default_rng(4).random((4, 12, 10, channels))
    layer = ColorAugmentation(
        mean=[0.5] * channels, std=[0.2] * channels, blur_rate=0.0
    )
    numbers = np.full((4, 10), 0.5, "float32")
    numbers[:, 0] = 0.0
    # Brighter by 0.2; then the same, and grey.
    numbers[:, 1] = 0.75
    numbers[2:, 6] = 0.0
    images = ops.convert_to_tensor((pixels - 0.5) / 0.2, "float32")
    outputs = to_numpy(layer(images, numbers=numbers)) * 0.2 + 0.5
    expected = np.clip(1.2 * pixels, 0, 1)
    expected[2:] = expected[2:].mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_half_precision_rounds_only_the_result():
    numbers = np.random.default_rng(5).random((4, 10), dtype="float32")
    expected = ColorAugmentation()(IMAGES, numbers=numbers)
    outputs = ColorAugmentation(dtype="mixed_bfloat16")(IMAGES, numbers=numbers)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_array_equal(
        to_numpy(ops.cast(outputs, "float32")),
        to_numpy(ops.cast(ops.cast(expected, "bfloat16"), "float32")),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("brightness", -0.1),
        ("hue", 0.6),
        ("jitter_rate", 1.1),
        ("blur_radius", (0.0, 1.0)),
        ("mean", (0.5, "0.5", 0.5)),
        ("std", (0.5, 0.0, 0.5)),
    ],
)
def test_bad_arguments(name, value):
    arguments = {"mean": (0.5,) * 3, "std": (0.2,) * 3, name: value}
    with pytest.raises(ValueError, match=f"`{name}` must be .*: {name}="):
        ColorAugmentation(**arguments)


def test_bad_normalisation():
    with pytest.raises(ValueError, match="`std` must be given together"):
        ColorAugmentation(mean=(0.5,))
    with pytest.raises(ValueError, match="must have the same number of values"):
        ColorAugmentation(mean=(0.5,), std=(0.2, 0.2))
    layer = ColorAugmentation(mean=(0.5,), std=(0.2,))
    with pytest.raises(ValueError, match="1 values, and images of 3 channels"):
        layer(IMAGES)


def test_bad_rank():
    with pytest.raises(ValueError, match="`images` must have shape"):
        ColorAugmentation()(np.zeros((8, 3), "float32"))


def test_raw_pixels_are_refused():
    with pytest.raises(ValueError, match="`images` must be floating point"):
        ColorAugmentation()((PIXELS * 255).astype("uint8"))
