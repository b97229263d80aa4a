"""Encoders for images of another size."""

import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.encoders import AIMEncoder
from keras_capi.encoders import resize_vit
from keras_capi.ops import resample_positions
from keras_capi.ops import resample_relative_positions

IMAGES = make_images(2)


def randomized(**arguments):
    vit = make_vit(**arguments)
    generator = np.random.default_rng(0)
    for weight in vit.trainable_weights:
        noise = generator.normal(size=weight.shape)
        weight.assign(weight + 0.1 * noise)
    return vit


@pytest.mark.parametrize("kind", [None, "shared", "per_block"])
def test_the_same_size_gives_the_same_features(kind):
    vit = randomized(relative_positions=kind, num_layers=2)
    expected = to_numpy(vit(IMAGES)["global"])
    made = resize_vit(vit, relative_positions=kind and "per_block")
    np.testing.assert_allclose(
        to_numpy(made(IMAGES)["global"]), expected, atol=1e-6
    )
    assert len(made.positions.biases) == (2 if kind else 0)
    # The weights are its own.
    made.final_norm.beta.assign(made.final_norm.beta + 1.0)
    np.testing.assert_array_equal(to_numpy(vit(IMAGES)["global"]), expected)


def test_norms_that_come_last():
    vit = randomized(post_norm=True)
    made = resize_vit(vit)
    np.testing.assert_allclose(
        to_numpy(made(IMAGES)["global"]), to_numpy(vit(IMAGES)["global"]), 1e-5
    )


def test_a_class_of_its_own_stays():
    encoder = AIMEncoder(8, 2, 48, 4, image_shape=(32, 32, 3))
    norm = encoder.patch_norm
    norm.beta.assign(norm.beta + np.arange(48.0))
    made = resize_vit(encoder)
    assert isinstance(made, AIMEncoder)
    np.testing.assert_allclose(
        to_numpy(made(IMAGES)["global"]),
        to_numpy(encoder(IMAGES)["global"]),
        atol=1e-6,
    )
    taller = resize_vit(encoder, (48, 32, 3))
    assert taller(make_images(1, 48, 32))["feature_map"].shape[1:3] == (6, 4)


@pytest.mark.parametrize("kind", ["shared", "per_block"])
def test_positions_are_resampled(kind):
    vit = randomized(relative_positions=kind, num_layers=2)
    made = resize_vit(vit, (24, 20, 3))
    assert made.image_shape == (24, 20, 3)
    assert made.positions.relative == kind
    old, new = vit.positions, made.positions
    np.testing.assert_array_equal(
        to_numpy(new.class_position), to_numpy(old.class_position)
    )
    np.testing.assert_allclose(
        to_numpy(new.table.table[1:]),
        to_numpy(resample_positions(old.table.table[1:], (4, 4), (6, 5))),
        atol=1e-6,
    )
    for mine, other in zip(new.biases, old.biases, strict=True):
        np.testing.assert_array_equal(
            to_numpy(mine.table),
            resample_relative_positions(to_numpy(other.table), (4, 4), (6, 5)),
        )
    assert made(make_images(1, 24, 20))["feature_map"].shape[1:3] == (6, 5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`encoder` must be a `ViT`.*CAPI"):
        resize_vit(make_backbone())
    vit = make_vit(relative_positions="per_block")
    with pytest.raises(ValueError, match="`relative_positions`.*'shared'"):
        resize_vit(vit, relative_positions="shared")
    with pytest.raises(ValueError, match="with None"):
        resize_vit(make_vit(), relative_positions="per_block")
