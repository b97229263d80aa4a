import keras
import numpy as np
import pytest
from helpers import to_numpy
from layers import battery

from keras_capi.layers import AttentionDropout

WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(5), size=(4, 2, 6))
WEIGHTS = WEIGHTS.astype("float32")

CASES = {
    str(rate): battery.Case(
        AttentionDropout,
        {"rate": rate, "seed": 5},
        (WEIGHTS,),
        battery.Output((4, 2, 6, 5)),
        is_random=rate > 0,
        training=True,
        symbolic_shapes=((2, None, None),),
    )
    for rate in (0.0, 0.3)
}


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def test_share_and_expectation():
    factors = to_numpy(AttentionDropout(0.1, seed=0).sample((50, 4, 20, 20)))
    assert factors.dtype == "float32"
    values = np.unique(factors)
    np.testing.assert_allclose(values, [0.0, 1 / 0.9], rtol=1e-6)
    # Of 80,000 numbers: five deviations.
    assert (factors == 0).mean() == pytest.approx(0.1, abs=0.0053)
    assert factors.mean() == pytest.approx(1.0, abs=0.006)


@pytest.mark.parametrize("axis", range(4))
def test_draws_are_independent_along_each_axis(axis):
    sample = AttentionDropout(0.5, seed=0).sample((20, 20, 20, 20))
    dropped = to_numpy(sample) == 0
    first, second = np.split(dropped, 2, axis)
    assert (first == second).mean() == pytest.approx(0.5, abs=0.01)


def test_inference_drops_nothing():
    layer = AttentionDropout(0.5, seed=0)
    for options in ({}, {"training": False}):
        np.testing.assert_array_equal(
            to_numpy(layer(WEIGHTS, **options)), WEIGHTS
        )
    assert (to_numpy(layer(WEIGHTS, training=True)) == 0).any()


def test_each_draw_is_another_and_follows_from_the_seed():
    first, second = (AttentionDropout(0.5, seed=7) for _ in range(2))
    draws = [to_numpy(first.sample((2, 2, 8, 8))) for _ in range(3)]
    assert (draws[0] != draws[1]).any() and (draws[1] != draws[2]).any()
    for expected in draws:
        np.testing.assert_array_equal(
            to_numpy(second.sample((2, 2, 8, 8))), expected
        )


def test_nothing_to_draw():
    layer = AttentionDropout(0.0)
    assert layer.sample((2, 2, 8, 8)) is None and not layer.variables


def test_saved_state_goes_on(tmp_path):
    inputs = keras.Input((2, 6, 5))
    model = keras.Model(inputs, AttentionDropout(0.5, seed=1)(inputs))
    model(WEIGHTS, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for _ in range(2):
        np.testing.assert_array_equal(
            to_numpy(loaded(WEIGHTS, training=True)),
            to_numpy(model(WEIGHTS, training=True)),
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.0}, r"`rate` must be in \[0, 1\).*rate=1.0"),
        ({"rate": -0.1}, r"`rate` must be in \[0, 1\).*rate=-0.1"),
        ({"rate": 0.1, "seed": 0.5}, "`seed`.*0.5"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionDropout(**arguments)
