import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_context_encoder
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy
from helpers import weights_of

import keras_capi
from keras_capi.layers import CenterRegion
from keras_capi.layers import Corruption
from keras_capi.layers import Discriminator
from keras_capi.layers import RandomRegions
from keras_capi.methods import ContextEncoder

IMAGES = make_images(4)


def losses_of(model, inputs, training=False):
    losses = model.compute_losses(inputs, training)
    return {name: float(to_numpy(value)) for name, value in losses.items()}


def made_and_real(model, inputs):
    """The windows that are compared, as colours from -1 to 1."""
    patches = to_numpy(model.predict_pixels(inputs["corrupted_images"]))
    made = to_numpy(keras_capi.ops.join_patches(patches, 4, (4, 4)))
    return (
        to_numpy(model.corruption.to_colors(model.take_window(images)))
        for images in (made, to_numpy(inputs["images"]))
    )


def test_defaults():
    model = ContextEncoder(make_vit())
    assert isinstance(model.corruption, CenterRegion)
    # Half of 16 pixels: one level.
    assert model.discriminator.images_shape == (8, 8, 3)
    assert model.loss_weights == {
        "pixel_loss": 0.999,
        "adversarial_loss": pytest.approx(0.001),
    }
    model = ContextEncoder(make_backbone())
    assert model.discriminator.images_shape == (64, 64, 3)


def test_losses_of_the_center():
    model = make_context_encoder(overlap_weight=7.0)
    inputs = model.prepare({"images": IMAGES}, False)
    made, real = made_and_real(model, inputs)
    assert made.shape == (4, 8, 8, 3)
    assert np.abs(made).max() < 1
    # One pixel around the middle was seen.
    weights = np.full((8, 8, 1), 7.0)
    weights[1:-1, 1:-1] = 1.0
    errors = (made - real) ** 2
    losses = losses_of(model, inputs)
    for name, expected in (
        ("pixel_loss", (weights * errors).mean()),
        ("unweighted_pixel_loss", errors.mean()),
        (
            "adversarial_loss",
            -np.log(to_numpy(model.discriminator(made))).mean(),
        ),
        ("discriminator_loss", model.discriminator.compute_loss(real, made)),
    ):
        expected = float(to_numpy(expected))
        assert losses[name] == pytest.approx(expected, rel=1e-4), name


def test_losses_of_random_regions():
    model = make_context_encoder(
        corruption=RandomRegions(seed=0), overlap_weight=7.0
    )
    inputs = model.prepare({"images": IMAGES}, False)
    made, real = made_and_real(model, inputs)
    assert made.shape == IMAGES.shape
    mask = to_numpy(inputs["mask"])
    np.testing.assert_array_equal(mask, np.broadcast_to(mask[:1], mask.shape))
    expected = (np.where(mask, 1.0, 7.0) * (made - real) ** 2).mean()
    loss = losses_of(model, inputs)["pixel_loss"]
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_discriminator_learns_first():
    """The encoder is judged by what it has just become."""
    model = make_context_encoder(
        discriminator=Discriminator((4,), learning_rate=0.01, seed=0)
    )
    inputs = model.prepare({"images": IMAGES}, True)
    before = losses_of(model, inputs)
    learning = losses_of(model, inputs, training=True)
    after = losses_of(model, inputs)
    assert learning["discriminator_loss"] == pytest.approx(
        before["discriminator_loss"], rel=1e-5
    )
    assert learning["adversarial_loss"] == pytest.approx(
        after["adversarial_loss"], rel=1e-5
    )
    assert after["discriminator_loss"] < before["discriminator_loss"]
    assert after["adversarial_loss"] != before["adversarial_loss"]


def test_each_network_has_its_own_loss():
    def step(**arguments):
        keras.utils.set_random_seed(0)
        model = make_context_encoder(
            discriminator=Discriminator((4,), seed=0), **arguments
        )
        inputs = model.prepare({"images": IMAGES}, True)
        model.train_on_batch(inputs)
        return (
            weights_of(model.encoder),
            [to_numpy(x) for x in model.discriminator.learnt],
        )

    # What the encoder minimises is nothing to the discriminator.
    first, second = step(pixel_weight=0.9), step(pixel_weight=0.1)
    for weight, other in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(weight, other)
    assert any((x != y).any() for x, y in zip(first[0], second[0], strict=True))


def test_the_optimizer_does_not_see_the_discriminator():
    model = make_context_encoder()
    ids = {id(variable) for variable in model.trainable_variables}
    assert not ids & {id(x) for x in model.discriminator.weights}
    assert any(id(x) in ids for x in model.encoder.trainable_variables)


def test_pixels_alone():
    model = make_context_encoder(pixel_weight=1)
    assert model.discriminator is None
    assert np.isfinite(model.train_on_batch(IMAGES)[0])
    with pytest.raises(ValueError, match="needs a `pixel_weight` below 1"):
        make_context_encoder(
            pixel_weight=1.0, discriminator=Discriminator((4,))
        )


def test_predicts_the_window_alone():
    model = make_context_encoder()
    painted = model.corruption(IMAGES)["corrupted_images"]
    patches = to_numpy(model.predict_pixels(painted))
    restored = to_numpy(keras_capi.ops.join_patches(patches, 4, (4, 4)))
    outside = np.ones((16, 16), bool)
    outside[4:12, 4:12] = False
    np.testing.assert_array_equal(restored[:, outside], IMAGES[:, outside])
    assert (restored != IMAGES)[:, ~outside].all()


def test_features_are_those_of_whole_images():
    model = make_context_encoder()
    features = model.predict(IMAGES, verbose=0)["feature_map"]
    expected = to_numpy(model.encoder(IMAGES)["feature_map"])
    np.testing.assert_allclose(features, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("pixel_weight", "rate"), [(0.999, 2e-3), (1, 2e-4), (0, 2e-4)]
)
def test_published_optimizer(pixel_weight, rate):
    model = make_context_encoder(pixel_weight=pixel_weight)
    optimizer = model.published_optimizer(100, batch_size=64)
    config = optimizer.get_config()
    assert float(to_numpy(optimizer.learning_rate)) == pytest.approx(rate)
    assert (config["beta_1"], config["beta_2"]) == (0.5, 0.999)
    assert config["weight_decay"] == 0.0


def test_a_rotary_encoder_trains_without_its_predictor():
    model = make_context_encoder(make_backbone(image_shape=(16, 16, 3)))
    assert not model.encoder.predictor.trainable_variables
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


def test_bad_arguments():
    with pytest.raises(ValueError, match="must be a `CenterRegion` or"):
        ContextEncoder(make_vit(), Corruption())
    encoder = make_vit()
    encoder.trainable = False
    with pytest.raises(ValueError, match="`encoder` must be trainable"):
        ContextEncoder(encoder)
    with pytest.raises(ValueError, match="the size that the discriminator"):
        make_context_encoder().train_on_batch(make_images(2, 16, 24))


@pytest.mark.parametrize(
    "name", ["weight_decay", "beta_1", "beta_2", "epsilon"]
)
def test_numbers_of_the_optimizer_that_are_none(name):
    # Keras's own optimizer takes anything.
    model = make_context_encoder()
    for value in (-1.0, "0.5", float("nan")):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            model.published_optimizer(100, 64, **{name: value})


def test_float16_weights_need_a_larger_epsilon():
    """Keras's moments are float16 too, where 1e-8 is 0, and 0 / 0 is NaN."""
    model = ContextEncoder(make_vit(dtype="float16"), seed=3)
    with pytest.raises(ValueError, match="`epsilon` must not be 0 in float16"):
        model.published_optimizer(100, batch_size=64)
    model.compile(model.published_optimizer(100, batch_size=64, epsilon=1e-3))
    losses = [model.train_on_batch(IMAGES)[0] for _ in range(3)]
    assert losses[2] < losses[0]
    assert all(np.isfinite(weight).all() for weight in weights_of(model))
