"""Encoder, predictor and backbone on their own."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import to_numpy

import keras_capi


def test_predictions_do_not_see_each_other():
    backbone = make_backbone(predictor_hidden_dim=24)
    images, indices = make_images(), make_indices(predicted=6)
    together = to_numpy(backbone.predict_masked(images, **indices))
    assert together.shape == (4, 6, 24)
    alone = to_numpy(
        backbone.predict_masked(
            images,
            indices["visible_indices"],
            indices["predict_indices"][:, 2:3],
        )
    )
    np.testing.assert_allclose(together[:, 2:3], alone, atol=1e-5)


@pytest.mark.parametrize("bad", [-1, 16])
def test_predictions_of_no_patch(bad):
    """The last patch, or NaN, would be predicted on some backends."""
    backbone = make_backbone()
    visible = np.array([[0, 1], [4, 5]], "int32")
    with pytest.raises(ValueError, match=r"`indices` must be from 0 to 15"):
        backbone.predict_masked(make_images(2), visible, visible * 0 + bad)


def test_the_encoder_sees_the_visible_patches_only():
    backbone = make_backbone()
    visible = np.tile(np.array([[0, 1, 4]], "int32"), (2, 1))
    images = make_images(2)
    changed = images.copy()
    # Row 2 of the grid and all below it are hidden.
    changed[:, 8:] += 1.0
    before = to_numpy(backbone.encoder(images, visible))
    assert before.shape == (2, 4 + 3, 16)
    np.testing.assert_array_equal(
        before, to_numpy(backbone.encoder(changed, visible))
    )
    changed[:, :4] += 1.0
    assert (to_numpy(backbone.encoder(changed, visible)) != before).any()


def test_order_of_visible_patches_does_not_matter():
    backbone = make_backbone()
    images, indices = make_images(2), make_indices(2)
    flipped = indices["visible_indices"][:, ::-1].copy()
    expected = to_numpy(backbone.predict_masked(images, **indices))
    indices["visible_indices"] = flipped
    np.testing.assert_allclose(
        to_numpy(backbone.predict_masked(images, **indices)),
        expected,
        atol=1e-5,
    )


def test_global_feature_is_the_first_predictor_block_everywhere():
    backbone = make_backbone(predictor_num_layers=3)
    images = make_images(2, 16, 24)
    everywhere = np.tile(np.arange(24, dtype="int32"), (2, 1))
    context = backbone.encoder(images)
    predictions = backbone.predictor(
        context,
        backbone.encoder.token_coordinates(keras.ops.array(images)),
        backbone.encoder.patch_coordinates(
            keras.ops.array(images), keras.ops.array(everywhere)
        ),
        num_layers=1,
    )
    np.testing.assert_allclose(
        to_numpy(backbone(images)["global"]),
        to_numpy(predictions).mean(axis=1),
        atol=1e-5,
    )


def test_no_registers():
    backbone = make_backbone(num_register_tokens=0)
    features = backbone(make_images(2))
    assert features["registers"].shape == (2, 0, 16)
    assert features["feature_map"].shape == (2, 4, 4, 16)
    predictions = backbone.predict_masked(make_images(), **make_indices())
    assert predictions.shape == (4, 3, 16)


@pytest.mark.parametrize("optimizer", ["lion", "nadam"])
def test_no_registers_under_any_optimizer(optimizer):
    backbone = make_backbone(num_register_tokens=0)
    model = keras_capi.methods.DenoisingAutoencoder(backbone)
    model.compile(optimizer)
    logs = model.train_on_batch(make_images(), return_dict=True)
    assert np.isfinite(logs["loss"])


def test_stochastic_depth_is_for_training_only():
    backbone = make_backbone(drop_path_rate=0.5)
    images = make_images()
    first = to_numpy(backbone(images)["feature_map"])
    np.testing.assert_array_equal(
        first, to_numpy(backbone(images)["feature_map"])
    )
    assert (
        to_numpy(backbone(images, training=True)["feature_map"]) != first
    ).any()


@pytest.mark.parametrize("shape", [(16, 24, 3), (None, None, 3)], ids=str)
def test_parts_of_a_functional_model(shape, tmp_path):
    """A classifier on the backbone, frozen, trained, saved and loaded."""
    backbone = make_backbone(drop_path_rate=0.2)
    backbone.trainable = False
    inputs = keras.Input(shape)
    features = backbone(inputs)
    rows, columns = (s and s // 4 for s in shape[:2])
    assert features["global"].shape == (None, 16)
    assert features["registers"].shape == (None, 4, 16)
    assert features["feature_map"].shape == (None, rows, columns, 16)
    outputs = keras.layers.Dense(2)(features["global"])
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    images = make_images(4, 16, 24)
    model.fit(images, np.zeros((4, 2)), verbose=0)
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), expected, atol=1e-6
    )


def test_encoder_and_predictor_in_a_functional_model():
    encoder = keras_capi.models.RotaryViT(4, 1, 16, 2, num_register_tokens=4)
    predictor = keras_capi.models.CrossAttentionPredictor(
        1, 24, 2, context_dim=16
    )
    images = keras.Input((16, 16, 3))
    visible = keras.Input((5,), dtype="int32")
    context_coordinates = keras.Input((9, 2))
    coordinates = keras.Input((3, 2))
    tokens = encoder(images, visible)
    assert tokens.shape == (None, 9, 16)
    outputs = predictor(tokens, context_coordinates, coordinates)
    assert outputs.shape == (None, 3, 24)
    model = keras.Model(
        [images, visible, context_coordinates, coordinates], outputs
    )
    indices = make_indices()["visible_indices"]
    generator = np.random.default_rng(0)
    predictions = model.predict(
        [
            make_images(),
            indices,
            generator.uniform(size=(4, 9, 2)).astype("float32"),
            generator.uniform(size=(4, 3, 2)).astype("float32"),
        ],
        verbose=0,
    )
    assert predictions.shape == (4, 3, 24)
    assert np.isfinite(predictions).all()


def test_config_round_trip():
    for model in (
        make_backbone(mlp_dim=20, predictor_num_heads=1),
        make_backbone().encoder,
        make_backbone().predictor,
    ):
        copy = type(model).from_config(model.get_config())
        assert copy.get_config() == model.get_config()
        assert [w.shape for w in copy.weights] == [
            w.shape for w in model.weights
        ]
