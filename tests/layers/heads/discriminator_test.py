import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy
from helpers import weights_of
from layers import battery

from keras_capi.layers import Discriminator

REAL, MADE = make_images(4), make_images(4, seed=1)
ARGUMENTS = {"filters": (4, 8), "learning_rate": 1e-2, "seed": 3}
LEARNT = {
    "kernel_0": (4, 4, 3, 4),
    "kernel_1": (4, 4, 4, 8),
    "kernel_2": (4, 4, 8, 1),
    "scale_0": (8,),
    "shift_0": (8,),
}

CASE = battery.Case(
    Discriminator,
    ARGUMENTS,
    (REAL,),
    battery.Output((4,), "float32"),
    non_trainable={
        **LEARNT,
        **{
            f"{name}_{i}": shape
            for name in ("momentum", "velocity")
            for i, shape in enumerate(LEARNT.values())
        },
        "num_updates_0": (),
    },
)


@pytest.mark.parametrize("check", battery.CHECKS)
def test_battery(check):
    check(CASE)


def make(shape=(None, 16, 16, 3), **overrides):
    layer = Discriminator(**{**ARGUMENTS, **overrides})
    layer.build(shape)
    return layer


@pytest.mark.parametrize(
    ("size", "filters", "rest"),
    [
        ((64, 64), (64, 128, 256, 512), (4, 4)),
        ((128, 160), (64, 64, 128, 256, 512), (4, 5)),
        ((14, 16), (64,), (7, 8)),
        ((3, 7), (), (3, 7)),
    ],
)
def test_published_sizes(size, filters, rest):
    layer = make((None, *size, 3), filters=None)
    shapes = [tuple(kernel.shape) for kernel in layer.kernels]
    assert tuple(shape[-1] for shape in shapes) == (*filters, 1)
    assert shapes[-1][:2] == rest
    # None after the first level.
    assert len(layer.scales) == max(len(filters) - 1, 0)


def test_published_start():
    layer = make((None, 64, 64, 3), filters=None)
    assert to_numpy(layer.kernels[2]).std() == pytest.approx(0.02, rel=0.05)
    scale = to_numpy(layer.scales[-1])
    assert scale.mean() == pytest.approx(1.0, abs=0.01)
    assert scale.std() == pytest.approx(0.02, rel=0.2)
    assert not to_numpy(layer.shifts[0]).any()


def test_learns_to_tell_them_apart():
    layer = make()
    made = 0.5 * MADE + 1.0
    first = float(to_numpy(layer.learn(REAL, made)))
    for _ in range(30):
        loss = float(to_numpy(layer.learn(REAL, made)))
    assert loss < 0.2 * first
    assert to_numpy(layer(REAL)).min() > 0.5 > to_numpy(layer(made)).max()


def test_loss_is_of_two_passes():
    """Norms are those of the real images, and of the made ones."""
    layer = make()
    scores = to_numpy(layer(REAL)), to_numpy(layer(MADE))
    expected = -np.log(scores[0]).mean() - np.log(1 - scores[1]).mean()
    loss = float(to_numpy(layer.compute_loss(REAL, MADE)))
    assert loss == pytest.approx(expected, rel=1e-5)
    loss, _ = layer.compute_gradients(REAL, MADE)
    assert float(to_numpy(loss)) == pytest.approx(expected, rel=1e-5)


def test_steps_are_those_of_adam():
    layer = make()
    weights = [np.float64(to_numpy(variable)) for variable in layer.learnt]
    moments = [(0.0, 0.0)] * len(weights)
    for step in (1, 2, 3):
        _, pairs = layer.compute_gradients(REAL, MADE)
        layer.learn(REAL, MADE)
        size = 1e-2 * (1 - 0.999**step) ** 0.5 / (1 - 0.5**step)
        for i, (variable, gradient) in enumerate(pairs):
            gradient = np.float64(to_numpy(gradient))
            first = 0.5 * moments[i][0] + 0.5 * gradient
            second = 0.999 * moments[i][1] + 0.001 * gradient**2
            moments[i] = first, second
            weights[i] = weights[i] - size * first / (second**0.5 + 1e-8)
            np.testing.assert_allclose(
                to_numpy(variable), weights[i], rtol=1e-3, atol=1e-5
            )


def test_evaluation_changes_nothing():
    layer = make()
    before = weights_of(layer)
    layer(REAL)
    layer.compute_loss(REAL, MADE)
    layer.compute_gradients(REAL, MADE)
    for weight, other in zip(weights_of(layer), before, strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": ()}, "`filters` must be a sequence"),
        ({"learning_rate": -1.0}, "`learning_rate` must be 0 or a positive"),
        ({"beta_1": 1.0}, "`beta_1` must be in"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Discriminator(**arguments)


def test_bad_sizes():
    with pytest.raises(ValueError, match="must not halve.*8 x 2 pixels"):
        make((None, 8, 2, 3))
    with pytest.raises(ValueError, match="built for, .16, 16, 3.*12, 16, 3"):
        make()(make_images(2, 12, 16))
    for shape in ((None, None, 16, 3), (16, 16, 3)):
        with pytest.raises(ValueError, match="only the batch may be unknown"):
            make(shape)
