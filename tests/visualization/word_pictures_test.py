import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_images
from helpers import make_mae
from helpers import make_vit
from helpers import to_numpy

from keras_capi.methods import BEiT
from keras_capi.methods import DiscreteVAE
from keras_capi.tokenizers import DALLETokenizer
from keras_capi.visualization import word_pictures
from keras_capi.visualization import write_report

IMAGES = make_images(8, 16, 24)
once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend."
)


def make_vae(patch_size=4):
    return DiscreteVAE(patch_size, 8, hidden_dim=4, codebook_dim=4, seed=3)


def test_words_of_a_tokenizer():
    model = make_vae()
    columns = word_pictures(model, IMAGES)
    assert list(columns) == ["image", "words"]
    token_ids = to_numpy(model.tokenize(IMAGES, (4, 6))).reshape(-1, 4, 6)
    decoded = to_numpy(model.decode(token_ids))
    # As the images became pictures, channel by channel.
    for channel in range(3):
        slope, offset = np.polyfit(
            IMAGES[..., channel].ravel(),
            columns["image"][..., channel].ravel(),
            1,
        )
        np.testing.assert_allclose(
            columns["words"][..., channel],
            np.clip(slope * decoded[..., channel] + offset, 0, 1),
            atol=1e-4,
        )


@once
def test_guesses_of_hidden_words():
    """By a tokenizer that works at half the size."""
    model = BEiT(make_vit(image_shape=(16, 24, 3)), make_vae(2), seed=3)
    columns = word_pictures(model, IMAGES)
    assert list(columns) == ["image", "visible", "words", "predicted words"]
    is_hidden = np.all(columns["visible"] == 0.5, axis=-1)
    patches = is_hidden.reshape(8, 4, 4, 6, 4)
    hidden = patches.all(axis=(2, 4))
    np.testing.assert_array_equal(hidden, patches.any(axis=(2, 4)))
    assert 0 < hidden.mean() < 0.5
    assert columns["words"].shape == (8, 8, 12, 3)
    assert (columns["words"] != columns["predicted words"]).any()
    # A model that knows the words.
    token_ids = to_numpy(model.compute_token_ids(IMAGES))
    model.predict_logits = lambda images, mask, training: np.eye(8)[token_ids]
    again = word_pictures(model, IMAGES)
    np.testing.assert_array_equal(again["visible"], columns["visible"])
    np.testing.assert_array_equal(again["predicted words"], columns["words"])
    assert (word_pictures(model, IMAGES, seed=1)["visible"] != 0.5).any()


def test_the_report_shows_words(tmp_path):
    write_report(tmp_path / "report.html", make_vae(), IMAGES)
    assert "<h2>Words</h2>" in (tmp_path / "report.html").read_text()


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="on one backend")
def test_models_without_such_words(tmp_path):
    model = BEiT(make_vit(), DALLETokenizer(8, 1, num_blocks=1))
    for other in (make_mae(), model):
        with pytest.raises(ValueError, match="must be a .*DiscreteVAE"):
            word_pictures(other, IMAGES)
    images = make_images(8)
    write_report(tmp_path / "report.html", model, images)
    assert "<h2>Words</h2>" not in (tmp_path / "report.html").read_text()
    with pytest.raises(ValueError, match="`pictures` must have the shape"):
        word_pictures(make_vae(), images, images[:2])
