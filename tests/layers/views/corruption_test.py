import numpy as np
import pytest
from backend_helpers import BACKEND
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from helpers import make_images
from helpers import to_numpy

from keras_capi.layers import Corruption
from keras_capi.layers.norms.imagenet_normalization import MEAN
from keras_capi.layers.norms.imagenet_normalization import STANDARD_DEVIATION
from tests.layers import battery

IMAGES = make_images(3, 8, 12)
UNIFORM = np.random.default_rng(1).random(IMAGES.shape, dtype="float32")
MEAN, STD = np.float32(MEAN), np.float32(STANDARD_DEVIATION)
BLACK, WHITE = (0 - MEAN) / STD, (1 - MEAN) / STD

CASE = battery.Case(
    layer_class=Corruption,
    arguments={"kind": "masking", "level": 0.4, "seed": 4},
    inputs=(IMAGES,),
    outputs={
        "corrupted_images": battery.Output(IMAGES.shape),
        "mask": battery.Output(IMAGES.shape, "bool"),
    },
    is_random=True,
    training=True,
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def corrupt(*arguments, images=IMAGES, noise=None, **overrides):
    layer = Corruption(*arguments, **{"seed": 2, **overrides})
    grid_size = (images.shape[1] // 4, images.shape[2] // 4)
    outputs = layer(images, grid_size=grid_size, noise=noise)
    return (
        to_numpy(outputs["corrupted_images"]),
        to_numpy(outputs["mask"]),
    )


def check(outputs, mask, values):
    mask = np.broadcast_to(mask, IMAGES.shape)
    np.testing.assert_array_equal(outputs[1], mask)
    # What is not corrupted stays as it is, and is not rescaled.
    np.testing.assert_array_equal(outputs[0][~mask], IMAGES[~mask])
    expected = np.where(mask, values, IMAGES)
    np.testing.assert_allclose(outputs[0], expected, atol=1e-6)


def smallest(numbers, count):
    ranks = numbers.reshape(3, -1).argsort(axis=1).argsort(axis=1)
    return (ranks < count).reshape(numbers.shape)


def test_gaussian_of_own_numbers():
    noise = make_images(3, 8, 12, seed=5)
    outputs = corrupt("gaussian", 0.3, noise=noise)
    # A deviation of 0.3 of the pixels between 0 and 1, without clipping.
    check(outputs, True, IMAGES + 0.3 * noise / STD)


def test_masking_of_own_numbers():
    outputs = corrupt("masking", 0.4, noise=UNIFORM)
    check(outputs, UNIFORM < 0.4, BLACK)


def test_an_exact_number_of_values():
    mask = smallest(UNIFORM, int(0.297 * 288))
    # Not 86, what rounding gives.
    assert mask.sum(axis=(1, 2, 3)).tolist() == [85] * 3
    check(corrupt("masking_exact", 0.297, noise=UNIFORM), mask, BLACK)


def test_patches_of_own_numbers():
    noise = UNIFORM.reshape(3, -1)[:, :6]
    mask = smallest(noise, 2).reshape(3, 2, 3)
    mask = np.kron(mask, np.ones((4, 4), bool))[..., None].astype(bool)
    check(corrupt("masking_patches", 0.49, noise=noise), mask, BLACK)


def test_salt_and_pepper_of_own_numbers():
    noise = UNIFORM[..., :1]
    outputs = corrupt("salt_and_pepper", 0.4, noise=noise)
    check(outputs, noise < 0.4, np.where(noise < 0.2, BLACK, WHITE))


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize("kind", ["masking_exact", "masking_patches"])
def test_exact_numbers_in_a_graph(kind, compilation):
    layer = Corruption(kind, 0.49)
    shape = layer.noise_shape(IMAGES.shape, (2, 3))
    noise = np.random.default_rng(3).random(shape, dtype="float32")
    run = compile_function(
        lambda x, y: layer(x, grid_size=(2, 3), noise=y)["mask"],
        compilation,
        unknown_batch=True,
    )
    expected = corrupt(kind, 0.49, noise=noise)[1]
    np.testing.assert_array_equal(to_numpy(run(IMAGES, noise)), expected)


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("masking", 0.3),
        ("masking_exact", 0.3),
        ("masking_patches", 76 / 256),
        ("salt_and_pepper", 0.3),
    ],
)
def test_shares_of_what_is_drawn(kind, share):
    images = np.ones((4, 64, 64, 3), "float32")
    corrupted, mask = corrupt(kind, 0.3, images=images)
    assert mask.mean() == pytest.approx(share, abs=0.01)
    assert all((mask[0] != other).any() for other in mask[1:])
    per_channel = kind in ("masking", "masking_exact")
    assert (mask[..., 0] != mask[..., 1]).any() == per_channel
    if kind == "salt_and_pepper":
        assert (corrupted > 1).mean() == pytest.approx(0.15, abs=0.01)


def test_what_normal_noise_is_drawn():
    images = np.zeros((4, 64, 64, 3), "float32")
    noise = corrupt("gaussian", 0.5, images=images)[0]
    np.testing.assert_allclose(noise.std(axis=(0, 1, 2)), 0.5 / STD, rtol=0.05)
    assert np.abs(noise.mean(axis=(1, 2))).max() < 0.2


def test_black_follows_from_the_normalization():
    corrupted, mask = corrupt("masking", 0.4, mean=(0.5,) * 3, std=(0.5,) * 3)
    np.testing.assert_allclose(corrupted[mask], -1.0)
    # Of other channels than three, the average of ImageNet's.
    grey = make_images(2, 8, 8, channels=1)
    corrupted, mask = corrupt("masking", 0.4, images=grey)
    np.testing.assert_allclose(
        corrupted[mask], -MEAN.mean() / STD.mean(), rtol=1e-5
    )


def test_no_noise():
    assert (corrupt("gaussian", 0)[0] == IMAGES).all()
    assert not corrupt("masking_patches", 0)[1].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "blur"}, "`kind` must be one of 'gaussian', 'masking'"),
        ({"kind": "masking", "level": 1.0}, r"`level` must be in \[0, 1\)"),
        ({"level": -0.1}, "`level` must be 0 or a positive number"),
        ({"mean": (0.5,) * 3}, "must be given together"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Corruption(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match="must be floating point"):
        Corruption()(np.zeros((2, 8, 8, 3), "uint8"))
    with pytest.raises(ValueError, match="one value for each channel"):
        Corruption(mean=(0.5,), std=(0.5,))(IMAGES)
    with pytest.raises(ValueError, match="`noise` must have the shape"):
        Corruption("salt_and_pepper")(IMAGES, noise=UNIFORM)
    layer = Corruption("masking_patches")
    with pytest.raises(ValueError, match="`grid_size` must be two integers"):
        layer(IMAGES)
    with pytest.raises(ValueError, match="must cut images into square"):
        layer(IMAGES, grid_size=(2, 2))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others know all sizes")
@pytest.mark.parametrize("kind", ["gaussian", "masking_exact"])
def test_images_of_unknown_size(kind):
    import tensorflow as tf

    layer = Corruption(kind, 0.3)
    sizes = tf.TensorSpec((None, None, None, 3))
    compiled = tf.function(
        lambda images, noise: layer(images, noise=noise),
        input_signature=[sizes, sizes],
    )
    results = compiled(IMAGES, UNIFORM), layer(IMAGES, noise=UNIFORM)
    for name in ("corrupted_images", "mask"):
        found, expected = (to_numpy(result[name]) for result in results)
        np.testing.assert_allclose(found, expected, atol=1e-6)
