import numpy as np
from helpers import to_numpy

from keras_capi.ops import lab_to_rgb
from keras_capi.ops import rgb_to_lab

# By scikit-image.
KNOWN = {
    (1.0, 0.0, 0.0): (53.24059, 80.09231, 67.20275),
    (0.0, 1.0, 0.0): (87.73510, -86.18126, 83.17747),
    (0.0, 0.0, 1.0): (32.29567, 79.18698, -107.86176),
    (1.0, 1.0, 1.0): (100.0, 0.0, 0.0),
    (0.0, 0.0, 0.0): (0.0, 0.0, 0.0),
    # Below both bends of the curves.
    (0.01, 0.02, 0.03): (1.30005, -0.31235, -1.19976),
}


def test_known_colors():
    rgb = np.array(list(KNOWN), "float32")
    lab = to_numpy(rgb_to_lab(rgb))
    expected = np.array(list(KNOWN.values()))
    np.testing.assert_allclose(lab, expected, atol=0.01)


def test_and_back():
    rgb = np.random.default_rng(0).random((4, 5, 6, 3)).astype("float32")
    np.testing.assert_allclose(
        to_numpy(lab_to_rgb(rgb_to_lab(rgb))), rgb, atol=2e-5
    )


def test_colors_that_cannot_be_shown_are_clipped():
    lab = np.array([[50.0, 200.0, 0.0], [0.0, -200.0, 50.0]], "float32")
    rgb = to_numpy(lab_to_rgb(lab))
    assert np.isfinite(rgb).all()
    assert rgb.min() >= 0.0 and rgb.max() <= 1.0
