import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy

from keras_capi.methods import BEiT
from keras_capi.methods import DiscreteVAE

IMAGES = make_images(4)
once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend."
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


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_does_not_round_the_schedules(dtype):
    model = make_vae(dtype=dtype, temperature=0.9, uniformity_weight=1e-8)
    values = to_numpy(model.scheduled).astype("float32")
    np.testing.assert_allclose(values, [0.9, 1e-8], rtol=1e-6)
    assert losses_of(model)["temperature"] == pytest.approx(0.9, rel=1e-6)


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


def test_likelihood_of_colors():
    model = make_vae(reconstruction="logit_laplace", uniformity_weight=0.1)
    assert model.decoder.num_channels == 6
    batch = {"images": IMAGES, "noise": np.ones((4, 4, 4, 8), "float32")}
    scores = to_numpy(model.word_scores(IMAGES)).astype("float64")
    shares = np.exp(scores / 0.9)
    shares /= shares.sum(axis=-1, keepdims=True)
    vectors = shares @ to_numpy(model.codebook)
    outputs = to_numpy(model.decoder(vectors.astype("float32")))
    logits, log_scales = np.split(outputs.astype("float64"), 2, axis=-1)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert (model.mean, model.standard_deviation) == (mean, deviation)
    colors = 0.8 * np.clip(IMAGES * deviation + mean, 0, 1) + 0.1
    density = np.exp(
        -np.abs(np.log(colors / (1 - colors)) - logits) / np.exp(log_scales)
    ) / (2 * np.exp(log_scales) * colors * (1 - colors))
    losses = model.compute_losses(batch, False)
    np.testing.assert_allclose(
        to_numpy(losses["pixel_loss"]), -np.log(density).mean(), rtol=1e-4
    )
    token_ids = to_numpy(model.tokenize(IMAGES, (4, 4))).reshape(4, 4, 4)
    pictures = to_numpy(model.decode(token_ids))
    words = np.eye(8, dtype="float32")[token_ids]
    np.testing.assert_allclose(
        pictures, to_numpy(model.decode_words(words)), atol=1e-5
    )
    logits = to_numpy(model.decoder(to_numpy(model.codebook)[token_ids]))[
        ..., :3
    ]
    colors = np.clip((1 / (1 + np.exp(-logits)) - 0.1) / 0.8, 0, 1)
    np.testing.assert_allclose(pictures * deviation + mean, colors, atol=1e-5)


def test_likelihood_trains_saves_and_resumes(tmp_path):
    def make():
        model = make_vae(
            reconstruction="logit_laplace",
            uniformity_weight=0.01,
            mean=(0.5, 0.4, 0.3),
            standard_deviation=(0.25, 0.2, 0.3),
            temperature=0.5,
        )
        model.compile(
            model.published_optimizer(40, batch_size=4, learning_rate=3e-3)
        )
        return model

    batch = {"images": IMAGES, "noise": np.ones((4, 4, 4, 8), "float32")}
    model = make()
    losses = [model.train_on_batch(batch)[0] for _ in range(20)]
    assert losses[-1] < losses[0] - 0.1
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.get_config() == model.get_config()
    assert loaded.mean == (0.5, 0.4, 0.3)
    for _ in range(2):
        # JAX may compile the loaded one in another order.
        np.testing.assert_allclose(
            loaded.train_on_batch(batch)[0],
            model.train_on_batch(batch)[0],
            rtol=1e-6,
        )


def test_likelihood_has_a_gradient_to_all_weights():
    model = make_vae(reconstruction="logit_laplace", uniformity_weight=0.0)
    model.compile(keras.optimizers.SGD(1.0))
    batch = {"images": IMAGES, "noise": np.ones((4, 4, 4, 8), "float32")}
    before = [to_numpy(weight) for weight in model.trainable_variables]
    model.train_on_batch(batch)
    for old, weight in zip(before, model.trainable_variables, strict=True):
        assert np.abs(to_numpy(weight) - old).max() > 0, weight.path


@once
def test_likelihood_of_one_channel():
    model = make_vae(
        image_shape=(None, None, 1), reconstruction="logit_laplace"
    )
    model.compile("sgd")
    images = IMAGES[..., :1]
    assert np.isfinite(model.train_on_batch(images)[0])
    token_ids = np.zeros((1, 2, 3), "int32")
    assert model.decode(token_ids).shape == (1, 8, 12, 1)


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
        (
            {"mean": (0.5, 0.5), "standard_deviation": (0.5, 0.5)},
            "`mean` must be 3 numbers",
        ),
        (
            {"mean": (0.5,) * 3, "standard_deviation": (0.5, 0.5, 0.0)},
            "`standard_deviation` must be positive",
        ),
        ({"standard_deviation": (0.5,) * 3}, "must be given together"),
        ({"temperature": 0.0}, "`temperature` must be a positive"),
        ({"uniformity_weight": -1.0}, "`uniformity_weight` must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_vae(**arguments)
