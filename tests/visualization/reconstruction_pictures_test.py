import numpy as np
import pytest
from helpers import make_context_encoder
from helpers import make_denoising
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import make_simmim
from helpers import make_vit
from helpers import to_numpy

from keras_capi.layers import Corruption
from keras_capi.layers import ImageNetNormalization
from keras_capi.layers import InverseBlockMasking
from keras_capi.methods import AIM
from keras_capi.ops.losses.pixel_targets import pixel_targets
from keras_capi.ops.tokens import gather_tokens
from keras_capi.visualization import reconstruction_pictures

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), "uint8")
IMAGES = to_numpy(ImageNetNormalization()(PICTURES))


def foresee(model):
    """Lets a model predict just what it is to predict."""

    def predict_pixels(images, visible_indices, predict_indices, training):
        targets = pixel_targets(images, 4, model.normalize_pixels)
        predicted = gather_tokens(targets, predict_indices)
        # What it says of visible patches does not count.
        wrong = 9.0 + 0.0 * gather_tokens(targets, visible_indices)
        return np.concatenate([to_numpy(wrong), to_numpy(predicted)], axis=1)

    model.predict_pixels = predict_pixels
    return model


@pytest.mark.parametrize("normalize_pixels", [True, False])
def test_perfect_predictions_give_the_pictures(normalize_pixels):
    model = foresee(make_mae(normalize_pixels=normalize_pixels))
    columns = reconstruction_pictures(model, IMAGES, PICTURES, batch_size=2)
    assert list(columns) == ["image", "visible", "reconstruction"]
    expected = PICTURES / 255.0
    np.testing.assert_allclose(columns["image"], expected, atol=1e-6)
    np.testing.assert_allclose(columns["reconstruction"], expected, atol=1e-4)
    scaled = reconstruction_pictures(model, IMAGES)
    np.testing.assert_allclose(
        scaled["reconstruction"], scaled["image"], atol=1e-4
    )


def count_patches(pictures, value):
    patches = pictures.reshape(5, 4, 4, 6, 4, 3)
    return np.all(patches == value, axis=(2, 4, 5)).sum(axis=(1, 2))


def test_visible_patches_are_shown_as_they_are():
    model = make_mae()
    columns = reconstruction_pictures(model, IMAGES, PICTURES)
    visible, image = columns["visible"], columns["image"]
    # A quarter of 24 patches is visible, all others are grey.
    assert count_patches(visible, 0.5).tolist() == [18] * 5
    is_visible = visible != 0.5
    np.testing.assert_array_equal(visible[is_visible], image[is_visible])
    reconstruction = columns["reconstruction"]
    np.testing.assert_array_equal(reconstruction[is_visible], image[is_visible])
    assert np.abs(reconstruction - image)[~is_visible].mean() > 0.01
    assert reconstruction.min() >= 0 and reconstruction.max() <= 1


def test_what_is_neither_seen_nor_predicted_is_grey():
    masking = InverseBlockMasking(mask_ratio=0.5, prediction_ratio=0.5)
    columns = reconstruction_pictures(make_mae(masking=masking), IMAGES)
    assert count_patches(columns["visible"], 0.5).tolist() == [12] * 5
    assert count_patches(columns["reconstruction"], 0.5).tolist() == [6] * 5


def test_replaced_patches():
    columns = reconstruction_pictures(make_simmim(), IMAGES, PICTURES)
    # 15 of 24 cells of one patch.
    assert count_patches(columns["visible"], 0.5).tolist() == [15] * 5
    is_visible = columns["visible"] != 0.5
    np.testing.assert_array_equal(
        columns["reconstruction"][is_visible], columns["image"][is_visible]
    )
    difference = np.abs(columns["reconstruction"] - columns["image"])
    assert difference[~is_visible].mean() > 0.01


def test_perfect_predictions_of_replaced_patches():
    model = make_simmim()
    model.predict_pixels = lambda images, mask, training: pixel_targets(
        images, 4, normalize=False
    )
    columns = reconstruction_pictures(model, IMAGES, PICTURES)
    np.testing.assert_allclose(
        columns["reconstruction"], PICTURES / 255.0, atol=1e-4
    )


def test_restored_images():
    model = make_denoising(corruption=Corruption("masking_patches", 0.5))

    def draw():
        return reconstruction_pictures(
            model, IMAGES[:4], PICTURES[:4], batch_size=2
        )

    columns = draw()
    assert list(columns) == ["image", "corrupted", "reconstruction"]
    corrupted, image = columns["corrupted"], columns["image"]
    # Half of 24 patches are black, all others as they are.
    patches = corrupted.reshape(4, 4, 4, 6, 4, 3)
    is_black = np.all(patches < 1e-5, axis=(2, 4, 5))
    assert is_black.sum(axis=(1, 2)).tolist() == [12] * 4
    assert (is_black[0] != is_black[2]).any()
    intact = np.kron(~is_black, np.ones((4, 4), bool)).astype(bool)
    np.testing.assert_allclose(corrupted[intact], image[intact], atol=1e-5)
    np.testing.assert_array_equal(draw()["corrupted"], corrupted)
    # A perfect model gives the pictures.
    targets = iter((IMAGES[:2], IMAGES[2:4]))
    model.predict_pixels = lambda images, training: pixel_targets(
        next(targets), 4, normalize=False
    )
    np.testing.assert_allclose(
        draw()["reconstruction"], PICTURES[:4] / 255.0, atol=1e-4
    )


def test_a_predicted_window():
    model = make_context_encoder(make_vit(image_shape=(16, 24, 3)))
    columns = reconstruction_pictures(model, IMAGES, PICTURES, batch_size=2)
    assert list(columns) == ["image", "corrupted", "reconstruction"]
    window = np.zeros((16, 24), bool)
    window[4:12, 6:18] = True
    for name, changed in (("corrupted", 6 * 10), ("reconstruction", 8 * 12)):
        differs = np.abs(columns[name] - columns["image"]).max(-1) > 1e-4
        assert not differs[:, ~window].any()
        assert (differs.sum(axis=(1, 2)) >= 0.9 * changed).all()


def test_masks_follow_from_the_seed_alone():
    model = make_mae()
    state = [to_numpy(x) for x in model.masking.variables]
    first = reconstruction_pictures(model, IMAGES)["visible"]
    again = reconstruction_pictures(model, IMAGES)["visible"]
    other = reconstruction_pictures(model, IMAGES, seed=1)["visible"]
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # A training in progress draws the masks that it would have drawn.
    for before, now in zip(state, model.masking.variables, strict=True):
        np.testing.assert_array_equal(before, to_numpy(now))


def test_other_channels():
    model = make_mae(make_vit(image_shape=(16, 16, 1)))
    columns = reconstruction_pictures(model, make_images(2, channels=1))
    assert columns["reconstruction"].shape == (2, 16, 16, 1)


def test_bad_arguments():
    with pytest.raises(ValueError, match="have `predict_pixels`.*CAPI"):
        reconstruction_pictures(make_model(), IMAGES)
    model = make_mae()
    with pytest.raises(ValueError, match="`pictures` must have the shape"):
        reconstruction_pictures(model, IMAGES, PICTURES[:2])
    with pytest.raises(ValueError, match="divisible by the patch size"):
        reconstruction_pictures(model, IMAGES[:, :14])


def test_aim_shows_patches_where_they_are_and_not_where_they_are_predicted():
    model = AIM(make_vit(image_shape=(16, 24, 3)), seed=3)

    def predict_pixels(images, prefix_length, training):
        targets = to_numpy(pixel_targets(images, 4))
        # The last place predicts nothing that counts.
        return np.concatenate([targets[:, 1:], 9.0 + targets[:, :1]], axis=1)

    object.__setattr__(model, "predict_pixels", predict_pixels)
    pictures = reconstruction_pictures(model, IMAGES, PICTURES)
    np.testing.assert_allclose(
        pictures["reconstruction"], PICTURES / 255.0, atol=2e-3
    )
    # A part is given, from the upper left on.
    shown = np.isclose(pictures["visible"], PICTURES / 255.0).all(axis=-1)
    assert shown[:, :4, :4].all() and not shown[:, 12:, 20:].all()


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_pictures_beyond_their_range_are_refused(dtype):
    """Bytes of another type would be drawn white."""
    images = make_images(2, 16, 16)
    pictures = (255 * np.ones(images.shape)).astype(dtype)
    with pytest.raises(ValueError, match=f"in .0, 1.*{dtype}.* to 255"):
        reconstruction_pictures(make_mae(make_vit()), images, pictures)
