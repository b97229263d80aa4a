import math

import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy
from methods.cases import CASES

import keras_capi
from keras_capi.evaluation.choices import choice_shares
from keras_capi.evaluation.choices import list_centers
from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.model_health import model_health

IMAGES = make_images(12)
FEATURES = {"feature_deviation", "effective_rank"}
CHOICES = {"used_choices", "choice_information_share"}
MAKE = {
    "dino": CASES["dino"].make,
    "swav": CASES["swav"].make,
    "deepcluster": lambda: keras_capi.methods.DeepCluster(
        make_vit(), (6, 4), head=keras_capi.layers.SwAVHead(12, 6)
    ),
}


@pytest.fixture
def given_features(monkeypatch):
    """Spares models the features, which all have."""
    features = np.random.default_rng(0).normal(size=(12, 4, 4, 8))
    monkeypatch.setattr(
        keras_capi.training.Pretraining,
        "predict",
        lambda model, images, batch_size, verbose: {
            "global": features[:, 0, 0],
            "feature_map": features,
        },
    )


@pytest.mark.usefixtures("given_features")
@pytest.mark.parametrize(
    "name, logs, expected",
    [
        ("mae", {"pixel_loss": 1.0}, set()),
        ("simclr", {"contrastive_accuracy": 0.5}, {"contrastive_accuracy"}),
        ("rotation", {"rotation_loss": 1.0}, {"chance_share"}),
        ("relative_position", {"pair_loss": 1.0}, {"chance_share"}),
        ("image_gpt", {"color_loss": 1.0}, {"chance_share"}),
    ],
)
def test_what_logs_tell(name, logs, expected):
    model = CASES[name].make()
    shares, measures = model_health(model, IMAGES, logs)
    assert set(shares) == FEATURES | expected
    assert set(shares) <= set(HEALTHY)
    assert np.isfinite([*shares.values(), *measures.values()]).all()
    shares, _ = model_health(model, IMAGES, {})
    assert set(shares) == FEATURES


@pytest.mark.usefixtures("given_features")
def test_losses_against_chance():
    model = CASES["rotation"].make()
    logs = {"rotation_loss": 0.5 * math.log(4)}
    shares, measures = model_health(model, IMAGES, logs)
    assert shares["chance_share"] == pytest.approx(0.5)
    assert measures["chance_bits"] == pytest.approx(1.0)
    # Of held-out images, if there are some.
    shares, _ = model_health(
        model, IMAGES, {**logs, "val_rotation_loss": math.log(4)}
    )
    assert shares["chance_share"] == pytest.approx(1.0)
    model = CASES["image_gpt"].make()
    # Half of the pixels black, half white: one bit.
    images = np.repeat([[[-3.0]], [[3.0]]], 6, axis=0)[..., None]
    images = np.broadcast_to(images, (12, 16, 16, 3)).astype("float32")
    shares, measures = model_health(model, images, {"color_loss": np.log(2)})
    assert shares["chance_share"] == pytest.approx(1.0)
    assert measures["chance_bits"] == pytest.approx(1.0)
    model = CASES["relative_position"].make()
    shares, _ = model_health(model, IMAGES, {"pair_loss": math.log(8)})
    assert shares["chance_share"] == pytest.approx(1.0)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", MAKE)
def test_choices_of_a_network_that_sees_nothing(name):
    model = MAKE[name]()
    features = model.predict(IMAGES, verbose=0)["global"]
    choices = to_numpy(model.choose_prototypes(features))
    assert len(choices) == len(IMAGES)
    np.testing.assert_allclose(choices.sum(axis=-1), 1.0, rtol=1e-5)
    shares, _ = model_health(model, IMAGES, {}, batch_size=5)
    assert shares["used_choices"] == pytest.approx(
        choice_shares([choices])["used_choices"]
    )
    assert set(shares) == FEATURES | CHOICES
    for weight in model.encoder.weights:
        weight.assign(np.zeros(weight.shape))
    collapsed, _ = model_health(model, IMAGES, {})
    assert collapsed["choice_information_share"] < 1e-4
    assert shares["choice_information_share"] > 1e-3


def test_choices_of_one_image_alone():
    """Rounding errors are no information."""
    choices = np.random.default_rng(0).dirichlet(np.ones(50), 1)
    assert choice_shares([choices])["choice_information_share"] == 0.0


def test_choices_of_colors():
    model = CASES["colorization"].make()
    choices = to_numpy(model.predict_choices(IMAGES))
    assert choices.shape == (12, 4, 4, 5)
    np.testing.assert_allclose(choices.sum(axis=-1), 1.0, rtol=1e-5)


def test_without_a_center_what_scores_have_in_common_is_taken_away():
    softmax, sinkhorn = (
        CASES["dinov2"].make(centering=kind) for kind in ("softmax", "sinkhorn")
    )
    scores = np.random.default_rng(0).normal(size=(5, 12)).astype("float32")
    softmax.centering.center.assign(scores.mean(axis=0))
    choices = to_numpy(sinkhorn.centering.choose(scores))
    np.testing.assert_allclose(
        choices, to_numpy(softmax.centering.choose(scores)), atol=1e-6
    )
    np.testing.assert_allclose(
        choices, to_numpy(softmax.centering(scores)), atol=1e-6
    )
    # It is not balanced.
    assert not np.allclose(choices.sum(axis=0), 5 / 12, atol=0.1)


def test_centers():
    model = CASES["ibot"].make()
    image, patches = list_centers(model)
    assert not image.any() and not patches.any()
    assert list_centers(CASES["swav"].make()) == []
    # Balanced without a memory.
    assert list_centers(CASES["dinov2"].make(centering="sinkhorn")) == []
