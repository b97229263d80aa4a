import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_vit
from helpers import to_numpy

import keras_capi

IMAGES = make_images(4)
PATCHES = np.random.default_rng(0).permuted(
    np.tile(np.arange(16, dtype="int32"), (4, 1)), axis=1
)
INPUTS = {
    "images": IMAGES,
    "visible_indices": PATCHES[:, :10].reshape(4, 2, 5),
    "predict_indices": PATCHES[:, 10:].reshape(4, 2, 3),
}


once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend."
)


def make_ijepa(encoder=None, **arguments):
    encoder = encoder or make_vit(class_token=False)
    predictor = keras_capi.decoders.SelfAttentionPredictor.for_encoder(
        encoder, num_layers=1, hidden_dim=16
    )
    return keras_capi.methods.IJEPA(
        encoder, **{"predictor": predictor, "seed": 3, **arguments}
    )


def loss_of(model, inputs):
    losses = model.compute_losses(model.prepare(inputs, False), False)
    return float(to_numpy(losses["feature_loss"]))


@once
def test_published_parts():
    model = keras_capi.methods.IJEPA(make_vit(class_token=False))
    predictor = model.predictor
    assert (predictor.num_layers, predictor.hidden_dim) == (12, 384)
    assert predictor.num_heads == 2
    inputs = model.prepare({"images": IMAGES}, True)
    assert inputs["visible_indices"].shape[:2] == (4, 1)
    assert inputs["predict_indices"].shape[:2] == (4, 4)


def test_each_block_is_predicted_from_each_context():
    model = make_ijepa()
    predictions = to_numpy(
        model.predict_features(**model.prepare(INPUTS, False))
    )
    assert predictions.shape == (4, 2, 2, 3, 16)
    features = to_numpy(model.teacher(IMAGES)["feature_map"])
    features = features.reshape(4, 16, 16).astype("float64")
    deviation = np.sqrt(features.var(axis=-1, keepdims=True) + 1e-5)
    features = (features - features.mean(axis=-1, keepdims=True)) / deviation
    errors = []
    for image in range(4):
        for block in range(2):
            target = features[image, INPUTS["predict_indices"][image, block]]
            errors.append(np.abs(predictions[image, :, block] - target))
    errors = np.stack(errors)
    expected = np.where(errors < 1, errors**2 / 2, errors - 0.5).mean()
    assert loss_of(model, INPUTS) == pytest.approx(expected, rel=1e-5)


@once
def test_a_pair_of_context_and_block_is_as_it_is_alone():
    model = make_ijepa()
    predictions = model.predict_features(**model.prepare(INPUTS, False))
    one = {
        name: values if name == "images" else values[:, 1]
        for name, values in INPUTS.items()
    }
    alone = model.predict_features(**model.prepare(one, False))
    np.testing.assert_allclose(
        to_numpy(alone)[:, 0, 0], to_numpy(predictions)[:, 1, 1], atol=1e-5
    )


def test_padding_counts_for_nothing():
    model = make_ijepa(make_vit(class_token=True))
    padded = dict(model.prepare(INPUTS, False))
    for kind in ("visible", "predict"):
        indices = INPUTS[f"{kind}_indices"]
        padding = ((0, 0), (0, 0), (0, 2))
        padded[f"{kind}_indices"] = np.pad(indices, padding)
        padded[f"{kind}_mask"] = np.pad(np.ones(indices.shape, bool), padding)
    assert loss_of(model, padded) == pytest.approx(
        loss_of(model, INPUTS), rel=1e-5
    )


@once
def test_patches_that_are_not_seen_change_the_targets_alone():
    model = make_ijepa()
    inputs = {
        "images": IMAGES,
        "visible_indices": np.tile(np.arange(4, dtype="int32"), (4, 1)),
        "predict_indices": np.tile(np.arange(4, 8, dtype="int32"), (4, 1)),
    }
    prepared = dict(model.prepare(inputs, False))
    before = to_numpy(model.predict_features(**prepared))
    images = IMAGES.copy()
    images[:, 8:] += 1.0
    prepared["images"] = images
    after = to_numpy(model.predict_features(**prepared))
    np.testing.assert_allclose(after, before, atol=1e-5)
    changed = loss_of(model, {**inputs, "images": images})
    assert changed != pytest.approx(loss_of(model, inputs), rel=1e-3)


@once
def test_deviation_of_targets_tells_a_collapse():
    model = make_ijepa()
    losses = model.compute_losses(model.prepare(INPUTS, False), False)
    assert 0.1 < float(to_numpy(losses["target_deviation"])) < 1.0
    norm = model.teacher.final_norm
    norm.gamma.assign(np.zeros(16))
    norm.beta.assign(np.arange(16.0))
    losses = model.compute_losses(model.prepare(INPUTS, False), False)
    assert float(to_numpy(losses["target_deviation"])) < 1e-3


def test_momentum_is_a_straight_line():
    model = make_ijepa()
    model.compile(model.published_optimizer(10, batch_size=4))
    history = model.fit(INPUTS, batch_size=4, epochs=10, verbose=0).history
    np.testing.assert_allclose(
        history["ema_momentum"], 0.996 + 0.0004 * np.arange(10), atol=1e-6
    )
    constant = make_ijepa()
    constant.compile("adam")
    logs = constant.train_on_batch(INPUTS, return_dict=True)
    assert logs["ema_momentum"] == pytest.approx(0.996)


def test_published_optimizer():
    model = make_ijepa()
    vectors = model.parameter_groups()["vectors"]
    names = {variable.path.split("/")[-1] for variable in vectors}
    assert names == {"bias", "gamma", "beta"}
    optimizer = model.published_optimizer(300, batch_size=2048)
    rate = optimizer.get_config()["learning_rate"]["config"]
    assert (rate["base_value"], rate["start_value"]) == (1e-3, 2e-4)
    assert (rate["warmup_steps"], rate["final_value"]) == (40, 1e-6)
    # The first update has a rate above the start already, the last the final.
    schedule = keras_capi.optimizers.WarmupCosine(**rate)
    assert float(schedule(0)) == pytest.approx(2.2e-4)
    assert float(schedule(39)) == pytest.approx(1e-3)
    assert float(schedule(299)) == pytest.approx(1e-6, rel=1e-3)
    assert float(optimizer.weight_decay(299)) == pytest.approx(0.4)


def test_teacher_follows_and_gives_the_features():
    model = make_ijepa(ema_momentum=0.75)
    model.compile(keras.optimizers.SGD(0.1))
    assert not model.teacher.trainable_variables
    before = [to_numpy(weight) for weight in model.teacher.weights]
    model.train_on_batch(INPUTS)
    moved = zip(
        before, model.teacher.weights, model.student.weights, strict=True
    )
    for old, mean, weight in moved:
        np.testing.assert_allclose(
            to_numpy(mean), 0.75 * old + 0.25 * to_numpy(weight), atol=1e-6
        )
    assert model.encoder is model.teacher


def test_other_maskings_and_encoders():
    masking = keras_capi.layers.RandomMasking(mask_ratio=0.5)
    masking.prediction_ratio = 1.0
    model = make_ijepa(make_backbone(image_shape=(16, 16, 3)), masking=masking)
    model.compile(model.published_optimizer(10, batch_size=4))
    assert np.isfinite(model.train_on_batch(IMAGES)[0])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"more": IMAGES}, "must have the keys"),
        (
            {"predict_indices": np.full((4, 2, 3), 16, "int32")},
            r"`predict_indices` must be from 0 to 15",
        ),
        (
            {"visible_indices": np.full((4, 1, 2), 3, "int32")},
            "each patch once at most in a block.*4 of 4 blocks",
        ),
        (
            {"visible_indices": np.zeros((4, 1, 2, 1), "int32")},
            r"or \(batch, blocks, count\)",
        ),
        (make_indices(3), "must have a row for each image"),
    ],
)
def test_bad_inputs(changes, message):
    model = make_ijepa()
    model.compile("sgd")
    with pytest.raises(ValueError, match=message):
        model.fit({**INPUTS, **changes}, verbose=0)


def test_bad_masks_in_a_data_set():
    model = make_ijepa()
    indices = INPUTS["predict_indices"].copy()
    indices[0, 0, 0] = 16
    prepared = model.prepare({**INPUTS, "predict_indices": indices}, True)
    assert np.isnan(to_numpy(prepared["images"])).all()
