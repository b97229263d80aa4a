import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

import keras_capi
from keras_capi.layers import ColorRemoval
from keras_capi.layers import ColorTargets

IMAGES = make_images(4)
BINS = [[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0], [-20.0, -20.0]]


def make_colorization(encoder=None, **arguments):
    targets = ColorTargets(BINS, 3)
    return keras_capi.methods.Colorization(
        encoder or make_vit(), **{"targets": targets, **arguments}
    )


def compiled(**arguments):
    model = make_colorization(**arguments)
    model.compile(
        model.published_optimizer(10, batch_size=4, learning_rate=1e-2)
    )
    return model


def test_scores_are_in_their_places():
    model = make_colorization(make_vit(patch_size=8))
    assert model.places_per_side == 2
    gray = model.prepare({"images": IMAGES}, training=False)["corrupted_images"]
    logits = to_numpy(model.predict_logits(gray))
    assert logits.shape == (4, 4, 4, 5)
    tokens = model.encoder.encode(*model.encoder.embed(gray))["patches"]
    patches = to_numpy(model.head(tokens)).reshape(4, 2, 2, 2, 2, 5)
    np.testing.assert_allclose(
        logits[:, 2:, :2], patches[:, 1, 0], rtol=1e-5, atol=1e-6
    )


def test_the_encoder_sees_no_colors():
    model = make_colorization()
    gray = to_numpy(
        model.prepare({"images": IMAGES}, training=False)["corrupted_images"]
    )
    images = gray * ColorRemovalScale.std + ColorRemovalScale.mean
    np.testing.assert_allclose(images[..., 0], images[..., 1], atol=1e-3)
    np.testing.assert_allclose(images[..., 0], images[..., 2], atol=1e-3)


class ColorRemovalScale:
    mean = np.array([0.485, 0.456, 0.406])
    std = np.array([0.229, 0.224, 0.225])


def test_loss_weighs_what_the_targets_say():
    model = make_colorization()
    batch = model.prepare({"images": IMAGES}, training=False)
    losses = model.compute_losses(batch, training=False)
    indices, shares, weights = model.targets(batch["colors"])
    costs = to_numpy(
        keras_capi.ops.shared_cross_entropy(
            indices, shares, model.predict_logits(batch["corrupted_images"])
        )
    )
    assert to_numpy(losses["color_loss"]) == pytest.approx(
        np.mean(to_numpy(weights) * costs), rel=1e-5
    )
    assert to_numpy(losses["color_cross_entropy"]) == pytest.approx(
        costs.mean(), rel=1e-5
    )


def test_one_channel_sees_the_lightness():
    encoder = make_vit(image_shape=(16, 24, 1))
    model = compiled(encoder=encoder)
    images = make_images(4, 16, 24)
    assert np.isfinite(model.train_on_batch(images)[0])
    gray = to_numpy(model.corruption(images)["corrupted_images"])
    assert gray.shape == (4, 16, 24, 1)
    features = model.predict_on_batch(gray)
    assert features["feature_map"].shape[:3] == (4, 4, 6)


def test_pictures_have_the_predicted_colors():
    model = make_colorization()
    keras.utils.set_random_seed(0)
    model.head.kernel.assign(0.0 * model.head.kernel)
    # All places are sure of the fourth colour.
    bias = np.tile([0.0, 0.0, 0.0, 50.0, 0.0], model.places_per_side**2)
    model.head.bias.assign(bias)
    gray = model.corruption(IMAGES)["corrupted_images"]
    np.testing.assert_allclose(
        to_numpy(model.predict_colors(gray)), 20.0, atol=1e-3
    )
    pixels = np.clip(
        np.random.default_rng(0).random((2, 16, 16, 3)), 0.3, 0.6
    ).astype("float32")
    images = (pixels - ColorRemovalScale.mean) / ColorRemovalScale.std
    columns = keras_capi.visualization.reconstruction_pictures(
        model, images.astype("float32"), pixels
    )
    assert list(columns) == ["image", "corrupted", "reconstruction"]
    original, colored = (
        to_numpy(keras_capi.ops.rgb_to_lab(columns[name]))
        for name in ("image", "reconstruction")
    )
    np.testing.assert_allclose(colored[..., 1:], 20.0, atol=0.1)
    np.testing.assert_allclose(colored[..., 0], original[..., 0], atol=0.1)


@pytest.mark.parametrize(("patch_size", "stride"), [(4, 4), (2, 2), (7, 1)])
def test_strides_that_suit_the_encoder(patch_size, stride):
    size = 2 * patch_size
    encoder = make_vit(patch_size=patch_size, image_shape=(size, size, 3))
    assert make_colorization(encoder).corruption.stride == stride


def test_the_prior_is_counted_in_training_alone():
    model = compiled()
    model.evaluate(IMAGES, verbose=0)
    np.testing.assert_allclose(to_numpy(model.targets.shares), 0.2)
    model.fit(IMAGES, verbose=0)
    assert to_numpy(model.targets.num_batches) == 2
    assert to_numpy(model.targets.shares).std() > 0


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (IMAGES[..., :1], "3 channels"),
        ({"corrupted_images": IMAGES}, "colours beside gray images"),
        (
            {"corrupted_images": IMAGES, "colors": IMAGES[..., :2]},
            "`colors` must have shape",
        ),
        (IMAGES[:, :15], "divisible by the patch size"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        compiled().fit(inputs, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corruption": ColorRemoval(1)}, "the encoder's number of channels"),
        ({"corruption": ColorRemoval(stride=3)}, "must divide the encoder's"),
        (
            {"encoder": make_vit(image_shape=(16, 16, 2))},
            "`num_channels` must be 1 or 3",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_colorization(**arguments)
