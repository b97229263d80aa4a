import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_simmim
from helpers import make_vit
from helpers import to_numpy

import keras_capi
from keras_capi.methods import SimMIM

IMAGES = make_images(4)
MASK = np.random.default_rng(0).random((4, 16)) < 0.6


@pytest.mark.parametrize(
    ("patch_size", "shape", "cell_size"),
    # 32 pixels, as published; less on small images and odd grids.
    [
        (16, (224, 224, 3), 2),
        (16, (192, 96, 3), 2),
        (14, (224, 224, 3), 2),
        (14, (518, 518, 3), 1),
        (8, (224, 224, 3), 4),
        (8, (64, 64, 3), 2),
        (4, (16, 24, 1), 1),
        (64, (224 + 32, 256, 3), 1),
        (16, (None, None, 3), 2),
    ],
)
def test_default_cells(patch_size, shape, cell_size):
    encoder = make_vit(patch_size=patch_size, image_shape=shape, positions=None)
    masking = SimMIM(encoder).masking
    assert (masking.cell_size, masking.mask_ratio) == (cell_size, 0.6)


def test_hidden_pixels_are_not_seen():
    model = make_simmim()
    predictions = to_numpy(model.predict_pixels(IMAGES, MASK))
    assert predictions.shape == (4, 16, 48)
    patches = to_numpy(keras_capi.ops.extract_patches(IMAGES, 4))
    hidden = np.repeat(MASK, 48, axis=1).reshape(patches.shape)
    images = np.where(hidden, 7.0, patches).reshape(4, 4, 4, 4, 4, 3)
    images = images.swapaxes(2, 3).reshape(IMAGES.shape)
    changed = to_numpy(model.predict_pixels(images, MASK))
    np.testing.assert_allclose(changed, predictions, atol=1e-5)


def test_loss_is_the_mean_over_hidden_pixels_of_the_batch():
    model = make_simmim()
    predictions = to_numpy(model.predict_pixels(IMAGES, MASK))
    patches = to_numpy(keras_capi.ops.extract_patches(IMAGES, 4))
    error = np.abs(predictions - patches)[MASK].mean()
    losses = model.compute_losses({"images": IMAGES, "mask": MASK}, False)
    assert float(to_numpy(losses["pixel_loss"])) == pytest.approx(
        error, rel=1e-5
    )
    nothing = {"images": IMAGES, "mask": np.zeros_like(MASK)}
    losses = model.compute_losses(nothing, False)
    assert float(to_numpy(losses["pixel_loss"])) == 0.0


def test_what_does_not_decay():
    encoder = make_vit(relative_positions="shared")
    model = make_simmim(encoder)
    undecayed = {id(v) for v in model.parameter_groups()["undecayed"]}
    decayed = {
        "/".join(variable.path.split("/")[-2:])
        for variable in model.trainable_variables
        if id(variable) not in undecayed
    }
    assert "mask_token/token" in decayed and "bias_0/table" in decayed
    assert not any("class_token" in name for name in decayed)
    assert "table/table" not in decayed
    assert all(
        name.endswith(("kernel", "token", "bias_0/table")) for name in decayed
    )


def test_published_optimizer():
    optimizer = make_simmim().published_optimizer(800, batch_size=1024)
    rates = []
    for step in (0, 1, 2, 11, 12, 700, 701, 799):
        optimizer.iterations.assign(step)
        rates.append(float(to_numpy(optimizer.learning_rate)))
    # Ten updates warm up, and all is one update late.
    warm = 1e-6 + 1.99e-4 / 10
    np.testing.assert_allclose(
        rates,
        [1e-6, 1e-6, warm, 2e-4, 2e-4, 2e-4, 2e-5, 2e-5],
        rtol=1e-5,
    )
    config = optimizer.get_config()
    assert (config["clip_norm"], config["weight_decay"]) == (5.0, 0.05)
    # So short a training has no warm-up.
    optimizer = make_simmim().published_optimizer(8, batch_size=512)
    assert float(to_numpy(optimizer.learning_rate)) == pytest.approx(1e-4)


def test_published_start_of_the_head():
    keras.utils.set_random_seed(0)
    model = SimMIM(make_vit(hidden_dim=64))
    for weight in (model.head.kernel, model.head.bias):
        values = np.abs(to_numpy(weight))
        assert 0.8 / 8 < values.max() <= 1 / 8


def test_a_rotary_encoder_trains_without_its_predictor():
    model = make_simmim(make_backbone(image_shape=(16, 16, 3)))
    assert not model.encoder.predictor.trainable_variables
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"images": IMAGES, "visible_indices": MASK}, "must have the keys"),
        ({"images": IMAGES, "mask": MASK[:, :9]}, r"shape \(batch, 16\)"),
        ({"images": IMAGES, "mask": MASK[:3]}, "a row for each image"),
        ({"images": IMAGES, "mask": 1.0 * MASK}, "must be Boolean.*float"),
        (make_images(4, 18, 16), "divisible by the patch size"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        make_simmim().fit(inputs, verbose=0)


def test_a_frozen_encoder_is_refused():
    encoder = make_vit()
    encoder.trainable = False
    with pytest.raises(ValueError, match="`encoder` must be trainable"):
        SimMIM(encoder)
