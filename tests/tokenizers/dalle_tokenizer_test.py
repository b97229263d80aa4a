import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_images
from helpers import to_numpy

from keras_capi.layers import ImageNetNormalization
from keras_capi.tokenizers import DALLETokenizer

IMAGES = make_images(2, 32, 24)
once = on_one_backend(
    "What JAX would compile for long, and is the same on each backend."
)


def make_tokenizer(**arguments):
    return DALLETokenizer(
        **{"vocabulary_size": 8, "hidden_dim": 4, "num_blocks": 1, **arguments}
    )


@once
def test_published_sizes():
    tokenizer = DALLETokenizer()
    # 53.8 million, as in the published file.
    assert tokenizer.count_params() == 53_786_240
    assert tokenizer.trainable_variables == []
    assert tokenizer.compute_output_shape((2, 112, None, 3)) == (
        (2, 14, None, 8192)
    )


def test_pixels_stay_away_from_zero_and_one():
    pixels = np.linspace(0, 255, 24, dtype="float32").reshape(1, 2, 4, 3)
    mapped = make_tokenizer().map_pixels(ImageNetNormalization()(pixels))
    np.testing.assert_allclose(
        to_numpy(mapped), 0.8 * pixels / 255 + 0.1, atol=1e-6
    )


@once
def test_a_word_for_each_patch():
    tokenizer = make_tokenizer()
    scores = to_numpy(tokenizer(IMAGES))
    assert scores.shape == (2, 4, 3, 8)
    words = to_numpy(tokenizer.tokenize(IMAGES, (4, 3)))
    np.testing.assert_array_equal(words, scores.argmax(-1).reshape(2, 12))
    # Of other sizes, images are resized: here enlarged, to the same.
    flat = np.ones((2, 16, 16, 3), "float32")
    words = to_numpy(tokenizer.tokenize(flat, (2, 3)))
    same = to_numpy(tokenizer.tokenize(np.ones((2, 16, 24, 3), "f4"), (2, 3)))
    np.testing.assert_array_equal(words, same)


@once
def test_saved_and_loaded(tmp_path):
    tokenizer = make_tokenizer(
        mean=(0.5,) * 3, standard_deviation=(0.2,) * 3, name="under_test"
    )
    tokenizer.save(tmp_path / "tokenizer.keras")
    clone = keras.saving.load_model(tmp_path / "tokenizer.keras")
    assert clone.get_config() == tokenizer.get_config()
    np.testing.assert_array_equal(
        to_numpy(clone(IMAGES)), to_numpy(tokenizer(IMAGES))
    )


@once
def test_half_precision_keeps_pixels_and_scores():
    tokenizer = make_tokenizer()
    half = make_tokenizer(dtype="mixed_bfloat16")
    half.set_weights(tokenizer.get_weights())
    scores = half(IMAGES)
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    np.testing.assert_allclose(
        to_numpy(scores), to_numpy(tokenizer(IMAGES)), atol=0.1
    )
    mapped = half.map_pixels(IMAGES)
    assert keras.backend.standardize_dtype(mapped.dtype) == "float32"


@once
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"vocabulary_size": 0}, "`vocabulary_size` must be a positive"),
        ({"hidden_dim": 0}, "`hidden_dim` must be a positive"),
        ({"num_blocks": 0}, "`num_blocks` must be a positive"),
        (
            {"mean": (0.5,), "standard_deviation": (1.0,)},
            "`mean` must be 3 numbers",
        ),
        (
            {"mean": (0.5,) * 3, "standard_deviation": 1.0},
            "`standard_deviation` must be 3 numbers",
        ),
        ({"mean": (0.5,) * 3}, "must be given together"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_tokenizer(**arguments)


@once
def test_bad_images():
    with pytest.raises(ValueError, match="must have 3 channels"):
        make_tokenizer().tokenize(IMAGES[..., :1], (4, 3))
    for images, message in (
        (IMAGES[:, :-1], "height .* divisible by the patch size"),
        (IMAGES.astype("uint8"), "must be floating point"),
    ):
        with pytest.raises(ValueError, match=message):
            make_tokenizer()(images)
    for grid_size in ((0, 4), (4.0, 4), 4):
        with pytest.raises(ValueError, match="`grid_size` must be"):
            make_tokenizer().tokenize(IMAGES, grid_size)
