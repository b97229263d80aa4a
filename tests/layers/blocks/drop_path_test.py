import keras
import numpy as np
import pytest
from backend_helpers import BACKEND
from backend_helpers import COMPILATIONS
from backend_helpers import compile_layer
from helpers import to_numpy
from keras import ops
from layers import battery

from keras_capi.layers import DropPath
from keras_capi.layers.blocks.drop_path import add_branch

X = np.random.default_rng(0).normal(size=(8, 3, 2)).astype("float32")
METHODS = ["efficient", "naive"]

CASES = {
    method: battery.Case(
        DropPath,
        {"rate": 0.3, "method": method, "seed": 5},
        (X,),
        battery.Output((8, 3, 2)),
        is_random=True,
        training=True,
        symbolic_shapes=((None, 2),),
    )
    for method in METHODS
}
CASES["rate_0"] = battery.Case(
    DropPath, {"rate": 0.0}, (X,), battery.Output((8, 3, 2)), training=True
)


@pytest.mark.parametrize("check", battery.CHECKS)
@pytest.mark.parametrize("case", CASES)
def test_battery(case, check):
    check(CASES[case])


def double(x):
    return 2.0 * x


def scales_of(outputs, residual):
    """By how much each sample's residual was scaled; the same everywhere."""
    ratios = to_numpy(outputs) / residual
    scales = ratios.mean(axis=tuple(range(1, ratios.ndim)))
    shape = (-1,) + (1,) * (ratios.ndim - 1)
    np.testing.assert_allclose(ratios - scales.reshape(shape), 0, atol=1e-4)
    return scales


@pytest.mark.parametrize("rate", [0.3, 0.99])
@pytest.mark.parametrize("with_branch", [False, True])
def test_efficient_keeps_a_fixed_number_of_samples(rate, with_branch):
    layer = DropPath(rate, seed=0)
    if with_branch:
        outputs = to_numpy(layer(X, branch=double, training=True)) - X
        scales = scales_of(outputs, 2.0 * X)
    else:
        scales = scales_of(layer(X, training=True), X)
    kept = max(int(8 * (1 - rate)), 1)
    expected = [0.0] * (8 - kept) + [8 / kept] * kept
    np.testing.assert_allclose(np.sort(scales), expected, atol=1e-4)


@pytest.mark.parametrize("with_branch", [False, True])
def test_naive_keeps_each_sample_on_its_own(with_branch):
    layer = DropPath(0.25, "naive", seed=0)
    x = np.ones((4000, 1), "float32")
    if with_branch:
        outputs = to_numpy(layer(x, branch=double, training=True)) - x
        scales = scales_of(outputs, 2.0 * x)
    else:
        scales = scales_of(layer(x, training=True), x)
    kept = scales > 0
    np.testing.assert_allclose(scales[kept], 4 / 3, atol=1e-5)
    # 4.5 standard deviations of a binomial.
    assert abs(kept.mean() - 0.75) < 4.5 * np.sqrt(0.75 * 0.25 / 4000)
    # Neighbours are independent.
    both = (kept[1:] & kept[:-1]).mean()
    assert abs(both - 0.75**2) < 0.04


@pytest.mark.parametrize("method", METHODS)
def test_expectation_is_the_plain_sum(method):
    # In one draw: as many branches as another test would make calls.
    count = 5000
    sample = to_numpy(DropPath(0.4, method, seed=1).sample(5, count))
    scales = sample
    if method == "efficient":
        assert sample.shape == (count, 3)
        scales = np.zeros((count, 5))
        np.put_along_axis(scales, sample, 5 / 3, axis=1)
        np.testing.assert_allclose(scales.sum(axis=1), 5, rtol=1e-6)
    deviation = np.sqrt((1 / 0.6 - 1) / count)
    assert np.abs(scales.mean(axis=0) - 1).max() < 4 * deviation
    # The branches of one draw are independent.
    product = (scales[1:] * scales[:-1]).mean(axis=0)
    assert np.abs(product - 1).max() < 8 * deviation


@pytest.mark.parametrize("rate", [0.0, 0.6])
@pytest.mark.parametrize("method", METHODS)
def test_inference_and_rate_0_skip_nothing(method, rate):
    layer = DropPath(rate, method)
    for training in (None, False, rate == 0.0):
        outputs = layer(X, training=training)
        np.testing.assert_array_equal(to_numpy(outputs), X)
        outputs = layer(X, branch=double, training=training)
        np.testing.assert_allclose(to_numpy(outputs), 3 * X, rtol=1e-6)


def test_rate_0_draws_nothing():
    assert DropPath(0.0).sample(4, 3) is None


def test_efficient_computes_the_branch_for_the_kept_samples_only():
    seen = []

    def branch(x, context, shared):
        seen.extend([tuple(x.shape), tuple(context.shape), tuple(shared.shape)])
        # What belongs to a sample stays with it.
        return x * context * shared

    arguments = (1.0 / X, np.full((1, 3, 2), 5.0, "float32"))
    outputs = DropPath(0.5, seed=0)(
        X, branch=branch, arguments=arguments, training=True
    )
    assert seen == [(4, 3, 2), (4, 3, 2), (1, 3, 2)]
    residual = to_numpy(outputs) - X
    taken = np.abs(residual).max(axis=(1, 2)) > 1
    assert taken.sum() == 4
    np.testing.assert_allclose(residual[taken], 10.0, rtol=1e-4)
    np.testing.assert_array_equal(residual[~taken], 0.0)


def test_naive_computes_the_branch_for_all_samples():
    seen = []

    def branch(x):
        seen.append(tuple(x.shape))
        return x

    DropPath(0.5, "naive", seed=0)(X, branch=branch, training=True)
    assert seen == [(8, 3, 2)]


@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_batch_of_one(rate):
    outputs = DropPath(rate)(X[:1], branch=double, training=True)
    np.testing.assert_allclose(to_numpy(outputs), 3 * X[:1], rtol=1e-6)


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize("method", METHODS)
def test_compiled_calls_draw_anew(method, compilation):
    layer = DropPath(0.5, method, seed=0)
    run = compile_layer(layer, compilation, branch=double, training=True)
    draws = [scales_of(to_numpy(run(X)) - X, 2.0 * X) for _ in range(6)]
    for scales in draws:
        assert set(np.round(scales, 3)) <= {0.0, 2.0}
        if method == "efficient":
            assert np.sum(scales > 1) == 4
    assert len({tuple(np.round(scales, 3)) for scales in draws}) > 2


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the others know each batch size"
)
@pytest.mark.parametrize("method", METHODS)
def test_batch_of_unknown_size(method):
    layer = DropPath(0.3, method, seed=0)
    run = compile_layer(layer, "graph", True, branch=double, training=True)
    for count in (1, 2, 3, 8):
        x = X[:count]
        scales = scales_of(to_numpy(run(x)) - x, 2.0 * x)
        if method == "efficient":
            kept = max(int(count * 0.7), 1)
            expected = [0.0] * (count - kept) + [count / kept] * kept
            np.testing.assert_allclose(np.sort(scales), expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_one_draw_serves_many_branches(method, monkeypatch):
    layer = DropPath(0.5, method, seed=0)
    calls = []
    draw = keras.random.SeedGenerator.next
    monkeypatch.setattr(
        keras.random.SeedGenerator,
        "next",
        lambda *args, **kwargs: calls.append(1) or draw(*args, **kwargs),
    )
    sample = layer.sample(8, 6)
    assert sum(calls) == 1
    assert tuple(sample.shape) == (6, 4 if method == "efficient" else 8)
    assert len(np.unique(to_numpy(sample), axis=0)) > 2
    dtype = keras.backend.standardize_dtype(sample.dtype)
    assert dtype == ("int32" if method == "efficient" else "float32")
    outputs = add_branch(ops.convert_to_tensor(X), double, (), sample[0])
    scales = scales_of(to_numpy(outputs) - X, 2.0 * X)
    expected = np.zeros(8)
    if method == "efficient":
        expected[to_numpy(sample[0])] = 2.0
    else:
        expected = to_numpy(sample[0])
    np.testing.assert_allclose(scales, expected, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_seed_fixes_the_sequence(method):
    first, second, other = (DropPath(0.5, method, seed) for seed in (1, 1, 99))
    draws = [to_numpy(first.sample(8, 4)) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], to_numpy(second.sample(8, 4)))
    np.testing.assert_array_equal(draws[1], to_numpy(second.sample(8, 4)))
    assert (draws[0] != draws[1]).any()
    assert (draws[0] != to_numpy(other.sample(8, 4))).any()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_bad_rate(rate):
    message = rf"`rate` must be in \[0, 1\). Received: rate={rate}"
    with pytest.raises(ValueError, match=message):
        DropPath(rate)


def test_bad_method():
    message = "`method` must be one of .*'efficient', 'naive'.*method='fast'"
    with pytest.raises(ValueError, match=message):
        DropPath(0.1, "fast")


def test_each_branch_has_a_rate_of_its_own():
    rates = [0.0, 0.2, 0.8]
    sample = DropPath(0.8, "naive", seed=0).sample(2000, 3, rates)
    for scales, rate in zip(to_numpy(sample), rates, strict=True):
        kept = scales > 0
        assert abs(kept.mean() - (1 - rate)) < 0.05
        np.testing.assert_allclose(scales[kept], 1 / (1 - rate), rtol=1e-5)


def test_rates_of_branches_need_the_naive_method():
    with pytest.raises(ValueError, match="`rates`.*method=efficient"):
        DropPath(0.5).sample(4, 2, [0.0, 0.5])


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([0.5, 1.0], r"must be in \[0, 1\).*1.0"),
        ([0.5, -0.1], r"must be in \[0, 1\).*-0.1"),
        ([0.5], "must be one for each branch.*num_branches=2"),
        ([0.5, 0.2, 0.1], "must be one for each branch.*num_branches=2"),
    ],
)
def test_bad_rates_of_branches(rates, message):
    with pytest.raises(ValueError, match=f"`rates` {message}"):
        DropPath(0.5, "naive").sample(4, 2, rates)
