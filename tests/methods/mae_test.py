import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_mae
from helpers import make_vit
from helpers import to_numpy

import keras_capi

IMAGES = make_images(4)


once = on_one_backend(
    "What takes JAX long to make, and is the same on each backend."
)


def make_inputs(**arguments):
    return {"images": IMAGES, **make_indices(**arguments)}


def test_default_masks_have_the_authors_counts():
    for size, ratio, visible in ((16, 0.75, 4), (40, 0.8, 20), (32, 0.6, 25)):
        masking = keras_capi.layers.RandomMasking(
            mask_ratio=ratio, prediction_ratio=1.0, round_visible=True
        )
        # 64 patches, of which 25.6 would be visible.
        model = make_mae(masking=masking)
        inputs = model.prepare({"images": make_images(2, size, size)}, True)
        count = (size // 4) ** 2
        expected = int(count * (1 - ratio))
        assert inputs["visible_indices"].shape == (2, expected), visible
        assert inputs["predict_indices"].shape == (2, count - expected)


@once
def test_published_parts():
    model = keras_capi.methods.MAE(make_vit())
    inputs = model.prepare({"images": IMAGES}, True)
    assert inputs["visible_indices"].shape == (4, 4)
    decoder = model.decoder
    assert (decoder.num_layers, decoder.hidden_dim) == (8, 512)
    assert decoder.num_heads == 16


def test_visible_patches_count_for_nothing():
    model, inputs = make_mae(), make_inputs()
    before = float(to_numpy(model.compute_losses(inputs, False)["pixel_loss"]))
    # Patches that are neither seen nor predicted: the last rows.
    images = IMAGES.copy()
    images[:, 8:] += 1.0
    loss = model.compute_losses({**inputs, "images": images}, False)
    assert float(to_numpy(loss["pixel_loss"])) == pytest.approx(before)


def test_loss_is_the_mean_square_over_predicted_pixels():
    model, inputs = make_mae(normalize_pixels=False), make_inputs()
    predictions = to_numpy(model.predict_pixels(**inputs))
    assert predictions.shape == (4, 8, 48)
    patches = to_numpy(keras_capi.ops.extract_patches(IMAGES, 4))
    error = predictions[:, 5:] - patches[:, 5:8]
    loss = model.compute_losses(inputs, False)["pixel_loss"]
    assert float(to_numpy(loss)) == pytest.approx((error**2).mean(), rel=1e-5)


def test_tokens_decay_and_vectors_do_not():
    model = make_mae()
    vectors = model.parameter_groups()["vectors"]
    names = {variable.path.split("/")[-1] for variable in vectors}
    assert names == {"bias", "gamma", "beta"}
    model.compile(model.published_optimizer(40, batch_size=512))
    rate = model.optimizer.get_config()["learning_rate"]["config"]
    assert rate["base_value"] == pytest.approx(3e-4)
    assert rate["warmup_steps"] == 2


def test_a_rotary_encoder_trains_without_its_predictor():
    model = make_mae(make_backbone(image_shape=(16, 16, 3)))
    model.compile(model.published_optimizer(10, batch_size=4))
    assert not model.encoder.predictor.trainable_variables
    assert model.encoder.encoder.trainable_variables
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({**make_inputs(), "more": IMAGES}, "must have the keys"),
        (make_images(4, 18, 16), "divisible by the patch size"),
        (
            {
                **make_inputs(),
                "predict_indices": make_indices()["visible_indices"],
            },
            "once at most",
        ),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        make_mae().fit(inputs, verbose=0)


def test_a_frozen_encoder_is_refused():
    encoder = make_vit()
    encoder.trainable = False
    with pytest.raises(ValueError, match="`encoder` must be trainable"):
        keras_capi.methods.MAE(encoder)


def test_published_start():
    # Queries, keys and values as one matrix: a smaller bound than alone.
    keras.utils.set_random_seed(0)
    encoder = make_vit(hidden_dim=64)
    kernel = to_numpy(encoder.blocks[0].attention.query_key_value.kernel)
    bound = (6 / (64 + 192)) ** 0.5
    assert 0.95 * bound < np.abs(kernel).max() <= bound
