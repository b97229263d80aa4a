import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_mae

import keras_capi
from keras_capi.visualization import completion_pictures


def test_what_is_given_stays_and_the_rest_is_drawn():
    keras.utils.set_random_seed(0)
    encoder = keras_capi.encoders.ImageGPTEncoder(
        1, 16, 2, image_size=4, num_colors=8
    )
    model = keras_capi.methods.ImageGPT(encoder)
    palette = np.random.default_rng(0).uniform(-1, 1, (8, 3))
    encoder.palette.assign_colors(palette)
    columns = completion_pictures(model, make_images(3), seed=1)
    assert list(columns) == ["image", "given", "completion"]
    image, given, completion = columns.values()
    assert image.shape == (3, 4, 4, 3)
    np.testing.assert_array_equal(given[:, :2], image[:, :2])
    np.testing.assert_array_equal(completion[:, :2], image[:, :2])
    np.testing.assert_array_equal(given[:, 2:], 0.5)
    assert (completion[:, 2:] != image[:, 2:]).any()
    # All are colours of the palette.
    distances = np.abs(completion[..., None, :] - (palette + 1) / 2).max(-1)
    np.testing.assert_allclose(distances.min(-1), 0.0, atol=1e-5)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="must complete images"):
        completion_pictures(make_mae(), make_images(1))
