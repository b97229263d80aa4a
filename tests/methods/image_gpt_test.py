import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.encoders import ImageGPTEncoder
from keras_capi.encoders import ViT
from keras_capi.methods import ImageGPT

NUM_COLORS = 8


def make(causal=True, **arguments):
    keras.utils.set_random_seed(0)
    encoder = ImageGPTEncoder(
        1, 16, 2, image_size=4, num_colors=NUM_COLORS, causal=causal
    )
    return ImageGPT(encoder, **arguments)


def randomize(model):
    """Gives the head, which starts with zeros, something to say."""
    kernel = model.head.kernel
    generator = np.random.default_rng(0)
    kernel.assign(generator.normal(size=kernel.shape).astype("float32"))


@pytest.mark.parametrize("causal", [True, False])
def test_the_first_loss_is_that_of_chance(causal):
    inputs = {"images": make_images(3)}
    if not causal:
        inputs["mask"] = np.arange(48).reshape(3, 16) % 2 == 0
    losses = make(causal).compute_losses(inputs, training=False)
    loss = float(to_numpy(losses["color_loss"]))
    assert loss == pytest.approx(np.log(NUM_COLORS), rel=1e-5)


def test_images_count_the_same_however_much_is_hidden():
    model = make(causal=False)
    randomize(model)
    images = make_images(3)
    mask = np.zeros((3, 16), bool)
    mask[0, :9] = mask[1, 3] = True
    token_ids = model.encoder.tokenize(images)
    logits = model.predict_logits(token_ids, mask)
    scores = to_numpy(keras.ops.log_softmax(logits))
    errors = -np.take_along_axis(scores, to_numpy(token_ids)[..., None], -1)
    errors = errors[..., 0]
    expected = (errors[0, :9].mean() + errors[1, 3]) / 3
    losses = model.compute_losses({"images": images, "mask": mask}, False)
    assert float(to_numpy(losses["color_loss"])) == pytest.approx(
        expected, rel=1e-4
    )


def test_hidden_pixels_are_not_seen():
    model = make(causal=False)
    randomize(model)
    mask = np.zeros((2, 16), bool)
    mask[:, 5] = True
    token_ids = np.arange(32).reshape(2, 16) % NUM_COLORS
    other = token_ids.copy()
    other[:, 5] = (other[:, 5] + 3) % NUM_COLORS
    first, second, seen = (
        to_numpy(model.predict_logits(*arguments))
        for arguments in ((token_ids, mask), (other, mask), (token_ids,))
    )
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(first - seen).max() > 1e-4


@pytest.mark.parametrize("causal", [True, False])
def test_fits(causal):
    model = make(causal, seed=1)
    model.compile(model.published_optimizer(10, batch_size=4))
    images = make_images(8)
    losses = model.fit(images, batch_size=4, epochs=2, verbose=0).history
    assert set(losses) == {"loss", "color_loss", "learning_rate"}
    features = model.predict(images[:2], verbose=0)
    assert features["global"].shape == (2, 16)


def test_draws_what_it_has_learnt():
    """Of images that are one colour each, the rest follows from the first."""
    model = make()
    names = np.repeat(np.arange(NUM_COLORS)[:, None], 16, axis=1)
    images = to_numpy(
        model.encoder.palette.restore(names.reshape(NUM_COLORS, 4, 4))
    )
    model.compile(keras.optimizers.Adam(2e-2))
    model.fit(images, batch_size=NUM_COLORS, epochs=60, verbose=0)
    completed = model.complete(images, 4, temperature=0.1)
    assert np.mean(np.abs(completed - images) < 1e-4) > 0.95
    drawn = model.sample(6, seed=1)
    assert drawn.shape == (6, 4, 4, 3)
    np.testing.assert_array_equal(drawn, model.sample(6, seed=1))
    assert np.abs(drawn - model.sample(6, seed=2)).max() > 0.1


def drawn_anew(model, token_ids, num_given, temperature, seed):
    """Draws words from the scores of all places, each time."""
    token_ids = to_numpy(token_ids).copy()
    generator = np.random.default_rng(seed)
    for place in range(num_given, token_ids.shape[1]):
        logits = to_numpy(model.predict_logits(token_ids))[:, place]
        noise = generator.gumbel(size=logits.shape)
        token_ids[:, place] = np.argmax(logits / temperature + noise, axis=-1)
    return token_ids


def test_draws_the_same_as_from_all_places_anew():
    """What is kept of the places before changes nothing."""
    keras.utils.set_random_seed(0)
    encoder = ImageGPTEncoder(3, 16, 2, image_size=4, num_colors=NUM_COLORS)
    model = ImageGPT(encoder)
    generator = np.random.default_rng(1)
    for weight in model.trainable_weights:
        # Each place must make a difference.
        weight.assign(0.5 * generator.normal(size=weight.shape))
    images = make_images(5, 4, 4)
    token_ids = encoder.tokenize(images)
    expected = drawn_anew(model, token_ids, 3, 0.8, seed=3)
    drawn = model.complete(images, 3, temperature=0.8, seed=3)
    colors = encoder.palette.restore(expected.reshape(5, 4, 4))
    np.testing.assert_allclose(drawn, to_numpy(colors), atol=1e-6)
    # And they are not the most likely ones alone.
    assert len(np.unique(expected[:, -1])) > 1


def test_given_pixels_stay():
    model = make()
    images = make_images(2, 4, 4)
    names = model.encoder.tokenize(images)
    completed = model.complete(images, 6)
    np.testing.assert_array_equal(
        to_numpy(model.encoder.tokenize(completed))[:, :6],
        to_numpy(names)[:, :6],
    )


def test_fits_a_palette():
    generator = np.random.default_rng(0)
    centers = np.array([[10, 10, 10], [240, 20, 30], [30, 200, 90]])
    noise = generator.integers(-5, 6, (4, 8, 8, 3))
    names = generator.integers(0, 3, (4, 8, 8))
    images = (centers[names] + noise).astype("uint8")
    palette = ImageGPT.fit_palette(images, 3)
    order = np.argsort(palette[:, 1])
    np.testing.assert_allclose(127.5 * (palette[order] + 1), centers, atol=1.5)
    model = make()
    with pytest.raises(ValueError, match="must have the shape"):
        ImageGPT(model.encoder, palette)
    normalized = (images / 255.0 - 0.5) / 0.25
    other = ImageGPT.fit_palette(
        normalized.astype("float32"), 3, 3 * (0.5,), 3 * (0.25,)
    )
    np.testing.assert_allclose(other, palette, atol=1e-4)
    with pytest.raises(ValueError, match="different pixels"):
        ImageGPT.fit_palette(np.zeros((1, 4, 4, 3), "uint8"), 2)


def test_a_palette_is_the_encoders_and_saved(tmp_path):
    palette = np.random.default_rng(0).uniform(-1, 1, (NUM_COLORS, 3))
    model = make(palette=palette)
    np.testing.assert_allclose(
        to_numpy(model.encoder.palette.colors), palette, atol=1e-6
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config()["palette"] == model.get_config()["palette"]
    np.testing.assert_array_equal(
        to_numpy(loaded.encoder.palette.colors),
        to_numpy(model.encoder.palette.colors),
    )


def test_bad_arguments_and_inputs():
    with pytest.raises(ValueError, match="ImageGPTEncoder"):
        ImageGPT(ViT(4, 1, 16, 2, image_shape=(16, 16, 3)))
    with pytest.raises(ValueError, match="`masking` must be None"):
        make(masking=keras.layers.Identity())
    with pytest.raises(ValueError, match="causal encoder can draw"):
        make(causal=False).sample(1)
    inputs = {"images": make_images(2), "mask": np.zeros((2, 16), bool)}
    with pytest.raises(ValueError, match="only the key 'images'"):
        make().check_inputs(inputs)
