import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_denoising
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi
from keras_capi.layers import Corruption
from keras_capi.methods import DenoisingAutoencoder

IMAGES = make_images(4)
MASK = np.random.default_rng(0).random(IMAGES.shape) < 0.3
CORRUPTED = np.where(MASK, -2.0, IMAGES).astype("float32")
INPUTS = {"images": IMAGES, "corrupted_images": CORRUPTED, "mask": MASK}


def loss_of(model, inputs):
    losses = model.compute_losses(inputs, training=False)
    return float(to_numpy(losses["pixel_loss"]))


def test_default_corruption():
    corruption = DenoisingAutoencoder(make_vit(), seed=7).corruption
    config = corruption.get_config()
    assert (config["kind"], config["level"]) == ("gaussian", 0.25)
    assert config["seed"] == 7


@pytest.mark.parametrize(("corrupted", "intact"), [(1, 1), (2.0, 0.5), (1, 0)])
def test_loss_is_the_weighted_mean_over_all_values(corrupted, intact):
    model = make_denoising(corrupted_weight=corrupted, intact_weight=intact)
    patches = to_numpy(model.predict_pixels(CORRUPTED))
    assert patches.shape == (4, 16, 48)
    restored = to_numpy(keras_capi.ops.join_patches(patches, 4, (4, 4)))
    # Against the clean images, not the corrupted ones.
    errors = (restored - IMAGES) ** 2
    expected = np.mean(np.where(MASK, corrupted, intact) * errors)
    assert loss_of(model, INPUTS) == pytest.approx(expected, rel=1e-5)


def test_all_patches_are_seen_and_judged():
    model = make_denoising()
    predicted = to_numpy(model.predict_pixels(CORRUPTED))
    before = loss_of(model, INPUTS)
    for pixel in ((0, 0), (15, 15)):
        other = CORRUPTED.copy()
        other[:, *pixel] += 1.0
        changed = np.abs(to_numpy(model.predict_pixels(other)) - predicted)
        assert (changed.max(axis=(0, 2)) > 1e-7).all()
        target = IMAGES.copy()
        target[:, *pixel] += 1.0
        assert loss_of(model, {**INPUTS, "images": target}) != before


@pytest.mark.parametrize("kind", ["gaussian", "masking_patches"])
def test_prepares_other_noise_for_each_image_and_step(kind):
    model = make_denoising(corruption=Corruption(kind, 0.5, seed=0))
    images = np.ones((3, 16, 24, 3), "float32")
    first, second = (model.prepare({"images": images}, True) for _ in range(2))
    assert set(first) == set(INPUTS)
    np.testing.assert_array_equal(to_numpy(first["images"]), images)
    first, second = (
        to_numpy(prepared["corrupted_images"]) for prepared in (first, second)
    )
    assert (first[0] != first[1]).any() and (first[1] != first[2]).any()
    assert (first != second).any()


def test_features_are_those_of_clean_images():
    model = make_denoising()
    features = model.predict(IMAGES, verbose=0)["feature_map"]
    expected = to_numpy(model.encoder(IMAGES)["feature_map"])
    np.testing.assert_allclose(features, expected, atol=1e-5)
    given = model.predict(INPUTS, verbose=0)["feature_map"]
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_published_optimizer():
    model = make_denoising()
    optimizer = model.published_optimizer(100, batch_size=512)
    optimizer.iterations.assign(5)
    assert float(to_numpy(optimizer.learning_rate)) == pytest.approx(3e-4)
    config = optimizer.get_config()
    assert (config["beta_1"], config["beta_2"]) == (0.9, 0.95)
    assert config["weight_decay"] == 0.05
    vectors = model.parameter_groups()["vectors"]
    assert {len(variable.shape) for variable in vectors} == {1}
    assert any(variable is model.head.bias for variable in vectors)


def test_a_rotary_encoder_trains_without_its_predictor():
    model = make_denoising(make_backbone(image_shape=(16, 16, 3)))
    assert not model.encoder.predictor.trainable_variables
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"images": IMAGES, "mask": MASK}, "must have the keys"),
        ({**INPUTS, "mask": MASK[..., :1]}, "must have the shape of the"),
        ({**INPUTS, "corrupted_images": CORRUPTED[:3]}, "must have the shape"),
        ({**INPUTS, "mask": 1.0 * MASK}, "must be Boolean.*float"),
        (
            {**INPUTS, "corrupted_images": CORRUPTED.astype("int32")},
            "must be floating point.*int32",
        ),
        (make_images(4, 18, 16), "divisible by the patch size"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        make_denoising().fit(inputs, verbose=0)


def test_bad_arguments():
    with pytest.raises(ValueError, match="must not both be 0"):
        DenoisingAutoencoder(make_vit(), None, 0, 0)
    encoder = make_vit()
    encoder.trainable = False
    with pytest.raises(ValueError, match="`encoder` must be trainable"):
        DenoisingAutoencoder(encoder)
