import keras
import numpy as np
import pytest
from keras import ops

from keras_capi.layers import ImageNetNormalization
from tests.layers import battery

MEAN = np.array([0.485, 0.456, 0.406])
STANDARD_DEVIATION = np.array([0.229, 0.224, 0.225])


def random_images(dtype="uint8"):
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), "uint8")
    return images.astype(dtype)


CASE = battery.Case(
    layer_class=ImageNetNormalization,
    arguments={"value_range": (-1.0, 255.0)},
    inputs=(random_images(),),
    outputs=battery.Output((2, 5, 4, 3)),
    symbolic_shapes=((None, None, 3),),
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def as_float32(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32"])
def test_pixels(dtype):
    outputs = ImageNetNormalization()(random_images(dtype))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    expected = (random_images("float64") / 255 - MEAN) / STANDARD_DEVIATION
    np.testing.assert_allclose(as_float32(outputs), expected, atol=2e-6)


@pytest.mark.parametrize("value_range", [(0, 1), (-1.0, 1.0), [10, 300]])
def test_value_range(value_range):
    low, high = value_range
    unit = random_images("float64") / 255
    images = (low + unit * (high - low)).astype("float32")
    outputs = ImageNetNormalization(value_range)(images)
    expected = (unit - MEAN) / STANDARD_DEVIATION
    np.testing.assert_allclose(as_float32(outputs), expected, atol=5e-6)


def test_single_image():
    outputs = ImageNetNormalization()(random_images()[0])
    expected = ImageNetNormalization()(random_images())
    np.testing.assert_array_equal(as_float32(outputs), as_float32(expected)[0])


def test_half_precision_rounds_only_the_result():
    images = random_images("float32") + 0.3
    outputs = ImageNetNormalization(dtype="mixed_bfloat16")(images)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    expected = ops.cast(ImageNetNormalization()(images), "bfloat16")
    np.testing.assert_array_equal(as_float32(outputs), as_float32(expected))


@pytest.mark.parametrize(
    "value_range",
    [255, (1, 0), (0, 0), (0, 1, 2), (0, float("inf")), "ab", None],
    ids=str,
)
def test_bad_value_range(value_range):
    with pytest.raises(ValueError, match="`value_range` must be .*: value_ra"):
        ImageNetNormalization(value_range)


@pytest.mark.parametrize("num_channels", [1, 4])
def test_other_channels_name_the_remedy(num_channels):
    shape = (2, 8, 8, num_channels)
    with pytest.raises(ValueError, match="keras.layers.Normalization"):
        ImageNetNormalization()(np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match="keras.layers.Normalization"):
        ImageNetNormalization()(keras.KerasTensor(shape))
