import copy
import json

import keras
import numpy as np
import pytest
from helpers import to_numpy
from optimizers.reference_adamw import adamw
from optimizers.reference_adamw import clip

from keras_capi.optimizers import AdamW
from keras_capi.optimizers import Group
from keras_capi.optimizers import WarmupCosine

SHAPES = {"kernel": (3, 4), "other": (3, 2, 2), "bias": (3,)}
NUM_STEPS = 6


@pytest.fixture
def initial():
    generator = np.random.default_rng(0)
    return {
        name: generator.normal(size=shape).astype("float32")
        for name, shape in SHAPES.items()
    }


@pytest.fixture
def gradients():
    generator = np.random.default_rng(1)
    return [
        {
            name: generator.normal(size=shape).astype("float32")
            for name, shape in SHAPES.items()
        }
        for _ in range(NUM_STEPS)
    ]


def make_variables(initial, optimizer, members=None):
    """Variables, and the optimizer built for them."""
    variables = {
        name: keras.Variable(value, name=name)
        for name, value in initial.items()
    }
    optimizer.assign_groups(
        {
            group: [variables[name] for name in names]
            for group, names in (members or {}).items()
        }
    )
    optimizer.build(list(variables.values()))
    return variables


def train(initial, gradients, optimizer, members=None):
    """The variables after an update with each of the gradients."""
    variables = make_variables(initial, optimizer, members)
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(x) for x in step.values()])
    return {name: to_numpy(value) for name, value in variables.items()}


def expected(initial, gradients, name, rates=0.01, decays=0.1, **arguments):
    return adamw(
        initial[name],
        [step[name] for step in gradients],
        np.broadcast_to(rates, NUM_STEPS),
        np.broadcast_to(decays, NUM_STEPS),
        **arguments,
    )


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


# The latter gradients are as large as epsilon.
@pytest.mark.parametrize("scale", [1.0, 1e-8])
def test_equals_the_reference(initial, gradients, scale):
    gradients = [{k: scale * x for k, x in step.items()} for step in gradients]
    trained = train(initial, gradients, AdamW(0.01, 0.1))
    for name in SHAPES:
        assert_close(trained[name], expected(initial, gradients, name))


@pytest.mark.parametrize("betas", [(0.9, 0.95), (0.0, 0.999)])
def test_equals_torch(initial, gradients, betas):
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("torch is loaded on its own backend alone")
    trained = train(initial, gradients, AdamW(0.01, 0.1, *betas))
    weights = {
        name: torch.nn.Parameter(torch.tensor(value))
        for name, value in initial.items()
    }
    optimizer = torch.optim.AdamW(
        weights.values(), 0.01, betas, weight_decay=0.1
    )
    for step in gradients:
        for name, gradient in step.items():
            weights[name].grad = torch.tensor(gradient)
        optimizer.step()
    for name, weight in weights.items():
        np.testing.assert_allclose(
            trained[name], weight.detach().cpu().numpy(), rtol=1e-6, atol=1e-7
        )


def test_settings_of_numpy(initial, gradients):
    """Of 64 bits, which TensorFlow's fused update refuses."""
    first, second = (
        train(initial, gradients, AdamW(beta_1=beta, beta_2=beta, epsilon=beta))
        for beta in (0.75, np.float64(0.75))
    )
    for name in SHAPES:
        assert_close(first[name], second[name])


def test_groups_multiply(initial, gradients):
    """A variable may be in several; what the model names besides is ignored."""
    optimizer = AdamW(
        0.01,
        0.1,
        groups={
            "slow": Group(learning_rate_multiplier=0.5),
            "slower": Group(0.2, weight_decay_multiplier=3.0),
            "biases": Group(weight_decay_multiplier=0.0),
            "own": Group(learning_rate=0.03, weight_decay=0.2),
        },
    )
    members = {
        "slow": ["kernel", "bias"],
        "slower": ["kernel"],
        "biases": ["bias"],
        "own": ["other"],
        "unused": ["other", "bias"],
    }
    trained = train(initial, gradients, optimizer, members)
    for name, rate, decay in (
        ("kernel", 0.001, 0.3),
        ("bias", 0.005, 0.0),
        ("other", 0.03, 0.2),
    ):
        assert_close(
            trained[name], expected(initial, gradients, name, rate, decay)
        )


def test_multipliers_along_the_first_axis(initial, gradients):
    multipliers, decays = (1.0, 0.5, 0.0), (0.0, 1.0, 2.0)
    optimizer = AdamW(
        0.01,
        0.1,
        groups={
            "all": Group(learning_rate_multiplier=multipliers),
            "kernels": Group(weight_decay_multiplier=decays),
        },
    )
    members = {"all": list(SHAPES), "kernels": ["kernel", "other"]}
    trained = train(initial, gradients, optimizer, members)
    for name in SHAPES:
        for row in range(3):
            rows = expected(
                initial,
                gradients,
                name,
                0.01 * multipliers[row],
                0.1 * (1.0 if name == "bias" else decays[row]),
            )
            assert_close(trained[name][row], rows[row])


def test_schedules(initial, gradients):
    rate = WarmupCosine(0.02, NUM_STEPS, 2)
    own = WarmupCosine(0.05, NUM_STEPS, 3)
    decay = WarmupCosine(0.04, NUM_STEPS, final_value=0.4, truncate=1.0)
    optimizer = AdamW(
        rate,
        decay,
        groups={
            "own": Group(learning_rate=own, weight_decay=0.3),
            "decay": Group(weight_decay=decay, weight_decay_multiplier=0.5),
        },
    )
    members = {"own": ["kernel"], "decay": ["bias"]}
    trained = train(initial, gradients, optimizer, members)
    rates, owns, decays = (
        np.array([float(schedule(step)) for step in range(NUM_STEPS)])
        for schedule in (rate, own, decay)
    )
    assert decays[0] == pytest.approx(0.04) and decays[-1] > 0.3
    for name, values in (
        ("kernel", (owns, 0.3)),
        ("bias", (rates, 0.5 * decays)),
        ("other", (rates, decays)),
    ):
        assert_close(trained[name], expected(initial, gradients, name, *values))


@pytest.mark.parametrize(
    "scope, networks",
    [
        ("global", [["kernel", "other", "bias"]]),
        ("tensor", [["kernel"], ["other"], ["bias"]]),
        (("trunk", "head"), [["kernel", "bias"], ["other"]]),
    ],
)
def test_clips_by_norms(initial, gradients, scope, networks):
    """Norms above and below the limit, which the networks share or not."""
    optimizer = AdamW(0.01, 0.1, beta_2=0.5, clip_norm=2.5, clip_scope=scope)
    members = {"trunk": ["kernel", "bias"], "head": ["other"]}
    trained = train(initial, gradients, optimizer, members)
    clipped = []
    for step in gradients:
        clipped.append({})
        for names in networks:
            values = clip([step[name] for name in names], 2.5)
            clipped[-1].update(zip(names, values, strict=True))
    scales = [
        np.linalg.norm(after[name]) / np.linalg.norm(before[name])
        for before, after in zip(gradients, clipped, strict=True)
        for name in SHAPES
    ]
    assert min(scales) < 0.9
    assert scope == "global" or max(scales) == 1.0
    for name in SHAPES:
        assert_close(
            trained[name],
            expected(initial, clipped, name, betas=(0.9, 0.5)),
        )


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_norms_beyond_half_precision(initial, dtype):
    """An infinite one would clip gradients to 0."""
    gradients = [{k: np.full(v, 3e4, dtype) for k, v in SHAPES.items()}]
    initial = {k: x.astype(dtype) for k, x in initial.items()}
    # So large that it is not hidden by Adam's own division by sizes.
    optimizer = AdamW(0.01, 0.0, epsilon=1.0, clip_norm=1.0)
    trained = train(initial, gradients, optimizer)
    size = 1 / np.sqrt(sum(np.prod(shape) for shape in SHAPES.values()))
    for name, value in trained.items():
        np.testing.assert_allclose(
            initial[name] - value, 0.01 * size / (size + 1), atol=1e-3
        )


@pytest.mark.parametrize("freeze", ["gradient", "rate"])
def test_frozen_steps(initial, gradients, freeze):
    """Not even a gradient that is not finite reaches what drops it."""
    optimizer = AdamW(
        0.01, 0.1, groups={"last": Group(frozen_steps=2, freeze=freeze)}
    )
    members = {"last": ["kernel"]}
    frozen = train(initial, gradients[:2], optimizer, members)
    np.testing.assert_array_equal(frozen["kernel"], initial["kernel"])

    optimizer = AdamW.from_config(optimizer.get_config())
    if freeze == "gradient":
        gradients[1] = {
            **gradients[1],
            "kernel": np.full(SHAPES["kernel"], np.nan, "float32"),
        }
    trained = train(initial, gradients, optimizer, members)
    arguments = {"skipped": 2}
    if freeze == "rate":
        arguments = {"rates": [0.0] * 2 + [0.01] * (NUM_STEPS - 2)}
    assert_close(
        trained["kernel"], expected(initial, gradients, "kernel", **arguments)
    )
    gradients[1].pop("kernel")
    assert_close(trained["bias"], expected(initial, gradients, "bias"))


def test_frozen_gradients_count_in_the_norm(initial, gradients):
    groups = {"last": Group(frozen_steps=1)}
    optimizer = AdamW(0.01, 0.1, groups=groups, clip_norm=0.1)
    members = {"last": ["other"]}
    make_variables(initial, optimizer, members)
    optimizer.apply(
        [keras.ops.convert_to_tensor(x) for x in gradients[0].values()]
    )
    clipped = clip(list(gradients[0].values()), 0.1)
    # The first moment after a step is a tenth of the gradient.
    moments = [0.1 * clipped[0], 0.0 * clipped[1], 0.1 * clipped[2]]
    for variable, moment in zip(optimizer._momentums, moments, strict=True):
        np.testing.assert_allclose(to_numpy(variable), moment, rtol=1e-5)


def test_accumulates_gradients(initial, gradients):
    """Schedules and frozen steps count updates."""
    rate = WarmupCosine(0.02, 3, 1)
    optimizer = AdamW(
        rate,
        rate,
        groups={"last": Group(frozen_steps=1)},
        clip_norm=1.0,
        clip_scope="tensor",
        gradient_accumulation_steps=2,
    )
    trained = train(initial, gradients, optimizer, {"last": ["bias"]})
    assert int(optimizer.iterations) == 3
    rates = [float(rate(step)) for step in range(3)]
    for name in SHAPES:
        pairs = np.stack([step[name] for step in gradients])
        means = pairs.reshape(3, 2, *SHAPES[name]).mean(axis=1)
        clipped = [clip([mean], 1.0)[0] for mean in means]
        skipped = 1 if name == "bias" else 0
        assert_close(
            trained[name],
            adamw(initial[name], clipped, rates, rates, skipped=skipped),
        )


def test_strides_do_not_matter(initial, gradients):
    """Torch's kernel reads memory in its order."""
    if keras.backend.backend() != "torch":
        pytest.skip("only torch has strides")
    optimizer = AdamW(0.01, 0.1)
    variables = [
        keras.Variable(
            keras.ops.convert_to_tensor(initial["kernel"].T.copy()).T
        ),
        keras.Variable(initial["bias"]),
    ]
    assert not variables[0].value.is_contiguous()
    optimizer.build(variables)
    for step in gradients:
        optimizer.apply(
            [
                keras.ops.convert_to_tensor(step["kernel"]),
                keras.ops.convert_to_tensor(step["bias"].repeat(2))[::2],
            ]
        )
    for name, variable in zip(("kernel", "bias"), variables, strict=True):
        assert_close(to_numpy(variable), expected(initial, gradients, name))


def test_half_precision(initial, gradients):
    """Epsilon does not vanish where there has been no gradient."""
    gradients = [{"kernel": np.zeros((3, 4), "float16")}]
    initial = {"kernel": initial["kernel"].astype("float16")}
    trained = train(initial, gradients, AdamW(0.01, 0.0))
    assert trained["kernel"].dtype == "float16"
    np.testing.assert_array_equal(trained["kernel"], initial["kernel"])


def test_small_squares_in_half_precision(initial, gradients):
    """The second moment of 1e-4 is rounded to 0, which must not divide."""
    gradients = [{k: 1e-4 * x for k, x in gradients[0].items()}]
    trained = train(
        {k: x.astype("float16") for k, x in initial.items()},
        [{k: x.astype("float16") for k, x in gradients[0].items()}],
        AdamW(0.01, 0.1),
    )
    for name, value in trained.items():
        moved = adamw(initial[name], [gradients[0][name]], [0.01], [0.1])
        np.testing.assert_allclose(value, moved, rtol=1e-3, atol=2e-3)


def test_rates_can_be_set(initial, gradients):
    """Own plain rates keep their ratio to the optimizer's, others stay."""
    schedule = WarmupCosine(0.3, 10)
    optimizer = AdamW(
        0.01,
        0.1,
        groups={
            "plain": Group(learning_rate=0.02),
            "scheduled": Group(learning_rate=schedule),
        },
    )
    members = {"plain": ["kernel"], "scheduled": ["bias"]}
    variables = make_variables(initial, optimizer, members)
    for rate in (0.0, 0.05):
        optimizer.learning_rate = rate
        rates = optimizer.group_learning_rates
        assert float(rates["plain"]) == pytest.approx(2 * rate)
        assert float(rates["scheduled"]) == pytest.approx(0.3)
    optimizer.apply(
        [keras.ops.convert_to_tensor(x) for x in gradients[0].values()]
    )
    for name, rate in (("kernel", 0.1), ("other", 0.05), ("bias", 0.3)):
        moved = np.abs(
            to_numpy(variables[name]) - (1 - 0.1 * rate) * initial[name]
        )
        np.testing.assert_allclose(moved, rate, rtol=1e-4)
    optimizer.set_group_learning_rate("plain", 0.05)
    optimizer.learning_rate = 0.1
    assert float(optimizer.group_learning_rates["plain"]) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="`scheduled_learning_rate` follows"):
        optimizer.set_group_learning_rate("scheduled", 0.1)


def test_rates_of_a_file_keep_their_ratio(initial):
    """Not that of the numbers with which the optimizer was made."""
    saved, loaded = (
        AdamW(0.01, groups={"own": Group(learning_rate=0.02)}) for _ in range(2)
    )
    for optimizer in (saved, loaded):
        make_variables(initial, optimizer, {"own": ["kernel"]})
    saved.set_group_learning_rate("own", 0.001)
    state = {}
    saved.save_own_variables(state)
    loaded.load_own_variables(state)
    for optimizer in (saved, loaded):
        optimizer.learning_rate = 0.1
        own = optimizer.group_learning_rates["own"]
        assert float(own) == pytest.approx(0.01)


def test_rates_of_a_config_at_rate_zero_keep_their_ratio():
    """A warm-up by a callback begins there, where a file may be written."""
    saved = AdamW(0.01, groups={"own": Group(learning_rate=0.02)})
    saved.learning_rate = 0.0
    config = json.loads(json.dumps(saved.get_config()))
    for optimizer in (saved, AdamW.from_config(config)):
        assert float(optimizer.group_learning_rates["own"]) == 0.0
        optimizer.learning_rate = 0.1
        own = optimizer.group_learning_rates["own"]
        assert float(own) == pytest.approx(0.2)
        assert optimizer.get_config().keys() == config.keys() - {
            "relative_learning_rate"
        }


def test_config_round_trip():
    schedule = WarmupCosine(1.0, 10, 2)
    optimizer = AdamW(
        schedule,
        weight_decay=schedule,
        epsilon=1e-6,
        groups={
            "own": Group((1.0, 2.0), 0.5, 0.1, schedule, 3, "rate"),
            "scheduled": Group(learning_rate=schedule),
        },
        clip_norm=1.0,
        clip_scope=("trunk", "head"),
        gradient_accumulation_steps=2,
        name="mine",
    )
    serialized = keras.saving.serialize_keras_object(optimizer)
    # A copy, as Keras writes into what it reads.
    clone = keras.saving.deserialize_keras_object(copy.deepcopy(serialized))
    assert keras.saving.serialize_keras_object(clone) == serialized
    assert clone.groups["own"].learning_rate_multiplier == (1.0, 2.0)
    assert clone.groups["own"].frozen_steps == 3
    assert clone.weight_decay.get_config() == schedule.get_config()
    assert list(clone.clip_scope) == ["trunk", "head"]


def make_model(optimizer, scaled):
    """A plain Keras model, whose variables the user names."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    optimizer.assign_groups({"biases": [model.layers[0].bias]})
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("scaled", [False, True])
def test_a_model_goes_on_from_weights(tmp_path, initial, scaled):
    arguments = {
        "groups": {"biases": Group(learning_rate=0.02, frozen_steps=1)},
        "clip_norm": 1.0,
    }
    data = initial["kernel"], initial["kernel"][:, :3]
    model = make_model(AdamW(0.01, 0.1, **arguments), scaled)
    model.fit(*data, epochs=2, shuffle=False, verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    other = make_model(AdamW(0.01, 0.1, **arguments), scaled)
    other.load_weights(tmp_path / "model.weights.h5")
    for each in (model, other):
        each.fit(*data, shuffle=False, verbose=0)
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))
    assert int(other.optimizer.iterations) == 3


def test_an_average_of_the_weights(initial, gradients):
    """Keras's option, which costs nothing."""
    optimizer = AdamW(0.01, 0.1, use_ema=True, ema_momentum=0.5)
    variables = make_variables(initial, optimizer)
    values = []
    for step in gradients[:2]:
        optimizer.apply([keras.ops.convert_to_tensor(x) for x in step.values()])
        values.append(to_numpy(variables["bias"]).copy())
    optimizer.finalize_variable_values(list(variables.values()))
    np.testing.assert_allclose(
        to_numpy(variables["bias"]), np.mean(values, axis=0), rtol=1e-6
    )


def test_keras_exclusions_hold(initial, gradients):
    optimizer = AdamW(0.01, 0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    trained = train(initial, gradients, optimizer)
    for name, decay in (("kernel", 0.1), ("bias", 0.0)):
        assert_close(
            trained[name], expected(initial, gradients, name, decays=decay)
        )


@pytest.mark.parametrize(
    "arguments, members, message",
    [
        ({"groups": {"x": Group()}}, {}, "unnamed groups ..x.., named ones .."),
        (
            {"clip_norm": 1.0, "clip_scope": ["x"]},
            {},
            "unnamed groups ..x.., named ones ..",
        ),
        (
            {"clip_norm": 1.0, "clip_scope": ["x", "y"]},
            {"x": ["kernel", "other"], "y": ["other", "bias"]},
            "must hold each variable once.*other is in ..x., .y..",
        ),
        (
            {"groups": {"x": Group(learning_rate=1.0), "y": Group(1, 1, 0.0)}},
            {"x": ["bias"], "y": ["bias"]},
            "At most one .* `learning_rate`. Received: groups ..x., .y.. of",
        ),
        (
            {
                "groups": {
                    "x": Group(frozen_steps=1),
                    "y": Group(frozen_steps=2),
                }
            },
            {"x": ["bias"], "y": ["bias"]},
            "At most one .* `frozen_steps`",
        ),
        (
            {"groups": {"x": Group((1.0, 2.0))}},
            {"x": ["kernel"]},
            r"2 entries in group 'x', which has kernel of shape \(3, 4\)",
        ),
    ],
)
def test_groups_that_do_not_fit(initial, arguments, members, message):
    with pytest.raises(ValueError, match=message):
        make_variables(initial, AdamW(**arguments), members)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"weight_decay": np.nan}, "weight_decay=nan"),
        ({"beta_2": 1.0}, "beta_2=1.0"),
        ({"epsilon": 0.0}, "epsilon=0.0"),
        ({"groups": {"x": 3}}, "groups=.'x': 3"),
        ({"clip_norm": 0.0}, "clip_norm=0.0"),
        ({"clip_scope": "network"}, "clip_scope='network'"),
        ({"clip_scope": []}, "clip_scope=.."),
        ({"gradient_accumulation_steps": 1}, "steps=1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AdamW(**arguments)
