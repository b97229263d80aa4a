import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy
from keras import ops
from layers import battery

from keras_capi.layers import PatchEmbedding

IMAGES = make_images(count=2, height=8, width=12)
# Not ascending: tokens come in the order of the indices.
INDICES = np.array([[5, 0, 3], [1, 2, 4]], "int32")
WEIGHTS = {"kernel": (48, 6), "bias": (6,)}

CASES = {
    "all": battery.Case(
        PatchEmbedding,
        {"patch_size": 4, "hidden_dim": 6},
        (IMAGES,),
        battery.Output((2, 6, 6)),
        trainable=WEIGHTS,
    ),
    "unknown_image_size": battery.Case(
        PatchEmbedding,
        {"patch_size": 4, "hidden_dim": 6},
        (IMAGES,),
        battery.Output((2, 6, 6)),
        trainable=WEIGHTS,
        symbolic_shapes=((None, None, 3),),
    ),
    "picked": battery.Case(
        PatchEmbedding,
        {"patch_size": 4, "hidden_dim": 6},
        (IMAGES, INDICES),
        battery.Output((2, 3, 6)),
        trainable=WEIGHTS,
        symbolic_shapes=((None, None, 3), (3,)),
    ),
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def test_is_a_convolution_whose_stride_is_its_kernel_size():
    layer = PatchEmbedding(4, 6)
    outputs = layer(IMAGES)
    kernel = ops.reshape(layer.kernel, (4, 4, 3, 6))
    expected = ops.conv(
        IMAGES, kernel, strides=4, data_format="channels_last"
    ) + ops.convert_to_tensor(layer.bias)
    np.testing.assert_allclose(
        to_numpy(outputs),
        to_numpy(ops.reshape(expected, (2, 6, 6))),
        atol=1e-5,
    )


def test_picks_patches_in_the_order_of_the_indices():
    layer = PatchEmbedding(4, 6)
    expected = np.take_along_axis(
        to_numpy(layer(IMAGES)), INDICES[..., None], axis=1
    )
    np.testing.assert_allclose(
        to_numpy(layer(IMAGES, INDICES)), expected, atol=1e-6
    )


def test_equals_the_published_embedding(reference):
    kernel = reference["weights/backbone.patch_embed.weight"]
    layer = PatchEmbedding(4, 48)
    layer.build((None, None, None, 3))
    layer.kernel.assign(kernel.transpose(2, 3, 1, 0).reshape(-1, 48))
    layer.bias.assign(reference["weights/backbone.patch_embed.bias"])
    offsets = 64 * np.arange(4)[:, None]
    indices = reference["visible_indices"].reshape(4, -1) - offsets
    images = reference["images"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(
        to_numpy(layer(images, indices.astype("int32"))),
        # After 8 registers.
        reference["masked/tokens"][:, 8:],
        atol=1e-5,
    )


def test_initial_weights():
    layer = PatchEmbedding(4, 512)
    layer.build((None, None, None, 3))
    # Xavier uniform of the flattened kernel, not of the convolution's.
    bound = np.sqrt(6 / (48 + 512))
    assert 0.99 * bound < np.abs(to_numpy(layer.kernel)).max() <= bound
    bound = 1 / np.sqrt(48)
    assert 0.97 * bound < np.abs(to_numpy(layer.bias)).max() <= bound
    assert to_numpy(layer.bias).min() < -0.97 * bound


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 6), "`patch_size` must be a positive integer.*patch_size=0"),
        ((4.0, 6), "`patch_size` must be a positive integer.*patch_size=4.0"),
        ((4, -1), "`hidden_dim` must be a positive integer.*hidden_dim=-1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchEmbedding(*arguments)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((2, 8, 12), "float32", r"rank 4.*images.shape=\(2, 8, 12\)"),
        ((2, 8, 12, 1), "float32", r"3 channels.*\(2, 8, 12, 1\)"),
        ((2, 9, 12, 3), "float32", "height .* divisible .*9, 12.*patch_size=4"),
        ((2, 8, 10, 3), "float32", "width .* divisible .*8, 10.*patch_size=4"),
        ((2, 0, 12, 3), "float32", "height .* divisible"),
        ((2, 8, 12, 3), "uint8", "must be floating point.*images.dtype=uint8"),
    ],
)
def test_bad_images(shape, dtype, message, symbolic):
    layer = PatchEmbedding(4, 6)
    layer.build((None, None, None, 3))
    images = np.zeros(shape, dtype)
    if symbolic:
        images = keras.Input(batch_shape=shape, dtype=dtype)
    with pytest.raises(ValueError, match=message):
        layer(images)


def test_kernel_initializer():
    layer = PatchEmbedding(4, 6, kernel_initializer="ones")
    layer.build(IMAGES.shape)
    np.testing.assert_array_equal(to_numpy(layer.kernel), np.ones((48, 6)))
    clone = PatchEmbedding.from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()


@pytest.mark.parametrize("shape", [(2, 3, 8, 12), (8, 12, 3), (2, 9, 12, 3)])
def test_bad_images_leave_no_weights(shape):
    layer = PatchEmbedding(4, 8)
    with pytest.raises(ValueError, match="`images`"):
        layer(np.zeros(shape, "float32"))
    assert not layer.weights
    assert layer(np.zeros((2, 8, 12, 3), "float32")).shape == (2, 6, 8)
