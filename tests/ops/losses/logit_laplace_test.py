import numpy as np
from backend_helpers import gradients
from helpers import to_numpy
from keras import ops

from keras_capi.ops import logit_laplace
from keras_capi.ops.images.color_margin import add_margin
from keras_capi.ops.images.color_margin import remove_margin


def draw(shape=(50,)):
    rng = np.random.default_rng(0)
    targets = rng.uniform(0.1, 0.9, shape).astype("float32")
    predictions, log_scales = rng.normal(size=(2, *shape)).astype("float32")
    return targets, predictions, log_scales


def test_formula():
    targets, predictions, log_scales = (x.astype("float64") for x in draw())
    scales = np.exp(log_scales)
    logits = np.log(targets / (1 - targets))
    density = np.exp(-np.abs(logits - predictions) / scales) / (
        2 * scales * targets * (1 - targets)
    )
    loss = to_numpy(logit_laplace(*draw()))
    assert loss.dtype == np.float32
    np.testing.assert_allclose(loss, -np.log(density), rtol=1e-5, atol=1e-5)


def test_is_a_density():
    targets = np.linspace(0, 1, 20001)[1:-1].astype("float32")
    for prediction, log_scale in ((0.0, 0.0), (1.0, -1.0)):
        loss = logit_laplace(
            targets,
            np.full_like(targets, prediction),
            np.full_like(targets, log_scale),
        )
        total = np.exp(-to_numpy(loss).astype("float64")).sum() / 20000
        np.testing.assert_allclose(total, 1.0, rtol=2e-2)


def test_gradient():
    targets, predictions, log_scales = draw((4,))
    (of_places, of_scales) = gradients(
        lambda places, scales: ops.sum(logit_laplace(targets, places, scales)),
        predictions,
        log_scales,
    )
    errors = np.log(targets / (1 - targets)) - predictions
    scales = np.exp(log_scales)
    np.testing.assert_allclose(of_places, -np.sign(errors) / scales, rtol=1e-4)
    np.testing.assert_allclose(
        of_scales, 1 - np.abs(errors) / scales, rtol=1e-4, atol=1e-5
    )


def test_half_precision_is_widened():
    halves = (x.astype("float16") for x in draw())
    assert to_numpy(logit_laplace(*halves)).dtype == np.float32


def test_margin_keeps_colors_from_the_ends():
    colors = np.array([0.0, 0.25, 1.0], "float32")
    mapped = to_numpy(add_margin(ops.convert_to_tensor(colors)))
    np.testing.assert_allclose(mapped, [0.1, 0.3, 0.9], rtol=1e-6)
    np.testing.assert_allclose(
        to_numpy(remove_margin(mapped)), colors, atol=1e-6
    )
    np.testing.assert_array_equal(
        to_numpy(remove_margin(np.array([0.0, 1.0], "float32"))), [0.0, 1.0]
    )
