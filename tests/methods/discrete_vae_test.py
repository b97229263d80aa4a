import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.methods import BEiT
from keras_capi.methods import DiscreteVAE

IMAGES = make_images(4)
# What JAX would compile for long, and is the same on each backend.
once = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="on one backend"
)


def make_vae(**arguments):
    return DiscreteVAE(
        **{
            "patch_size": 4,
            "vocabulary_size": 8,
            "hidden_dim": 8,
            "codebook_dim": 8,
            "seed": 3,
            **arguments,
        }
    )


def losses_of(model):
    inputs = {
        "images": IMAGES,
        "noise": np.random.default_rng(0)
        .exponential(size=(4, 4, 4, 8))
        .astype("float32"),
    }
    losses = model.compute_losses(inputs, False)
    return {name: float(to_numpy(value)) for name, value in losses.items()}


@once
def test_published_sizes():
    model = DiscreteVAE(8)
    assert model.vocabulary_size == 8192
    assert model.codebook.shape == (8192, 512)
    assert model.encoder.hidden_dim == 256
    assert model.encoder.num_stages == 3


def test_words_and_pictures():
    model = make_vae()
    scores = to_numpy(model.word_scores(IMAGES))
    assert scores.shape == (4, 4, 4, 8)
    token_ids = to_numpy(model.tokenize(IMAGES, (4, 4)))
    np.testing.assert_array_equal(token_ids, scores.argmax(-1).reshape(4, 16))
    token_ids = token_ids.reshape(4, 4, 4)
    pictures = to_numpy(model.decode(token_ids))
    assert pictures.shape == IMAGES.shape
    words = np.eye(8, dtype="float32")[token_ids]
    np.testing.assert_allclose(
        pictures, to_numpy(model.decode_words(words)), atol=1e-5
    )


@once
def test_divergence_from_uniform_words():
    model = make_vae(uniformity_weight=0.5)
    losses = losses_of(model)
    scores = to_numpy(model.word_scores(IMAGES)).astype("float64")
    shares = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    expected = (shares * np.log(8 * shares)).sum(axis=-1).mean()
    assert losses["uniformity_loss"] == pytest.approx(expected, rel=1e-4)
    assert losses["weighted_uniformity_loss"] == pytest.approx(
        0.5 * expected, rel=1e-4
    )


@once
def test_schedules():
    ramp = keras.optimizers.schedules.PolynomialDecay
    model = make_vae(
        temperature=ramp(1.0, 2, 0.5), uniformity_weight=ramp(0.0, 2, 2.0)
    )
    model.compile("sgd")
    logs = [model.train_on_batch(IMAGES, return_dict=True) for _ in range(3)]
    assert [log["temperature"] for log in logs] == [1.0, 0.75, 0.5]
    for log, weight in zip(logs, (0.0, 1.0, 2.0), strict=True):
        assert log["weighted_uniformity_loss"] == pytest.approx(
            weight * log["uniformity_loss"], rel=1e-5
        )


@once
def test_published_schedules():
    model = make_vae()
    model.compile(model.published_optimizer(480, batch_size=4))
    values = []
    for step in (0, 1, 30, 60, 400):
        model.before_update(step)
        values.append(to_numpy(model.scheduled))
    temperatures, weights = np.transpose(values)
    middle = (1 + 1 / 16) / 2
    np.testing.assert_allclose(
        temperatures[[0, 2, 3, 4]], [1.0, middle, 1 / 16, 1 / 16], rtol=1e-5
    )
    # A patch has 4 * 4 * 3 values.
    np.testing.assert_allclose(
        weights, np.array([0.0, 0.5, 1.0, 1.0, 1.0]) * 6.6 / 48, rtol=1e-5
    )
    # Of a training whose end is not known.
    model.compile("sgd")
    model.before_update(400)
    np.testing.assert_allclose(to_numpy(model.scheduled), [0.9, 0.0])


@once
def test_beit_predicts_its_words():
    vae = make_vae()
    model = BEiT(make_vit(), vae, seed=3)
    assert not vae.trainable_variables
    model.compile("sgd")
    assert np.isfinite(model.train_on_batch(IMAGES)[0])
    words = model.prepare({"images": IMAGES}, True)["token_ids"]
    np.testing.assert_array_equal(
        to_numpy(words), to_numpy(vae.tokenize(IMAGES, (4, 4)))
    )


@once
def test_published_optimizer():
    config = make_vae().published_optimizer(800, batch_size=64).get_config()
    rate = config["learning_rate"]["config"]
    assert (rate["base_value"], rate["final_value"]) == (1e-4, 1.25e-6)
    assert config["weight_decay"] == 1e-4


@once
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"patch_size": 6}, "`patch_size` must be 2, 4, 8 or another power"),
        ({"patch_size": 1}, "`patch_size` must be 2, 4, 8 or another power"),
        ({"reconstruction": "l1"}, "`reconstruction` must be one of"),
        ({"temperature": 0.0}, "`temperature` must be a positive"),
        ({"uniformity_weight": -1.0}, "`uniformity_weight` must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_vae(**arguments)
