import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_model
from helpers import to_numpy

from keras_capi.optimizers import WarmupCosine
from keras_capi.optimizers import capi_optimizer

RULES = {
    "patch_embedding/kernel": (0.2, 0.5),
    "patch_embedding/bias": (0.2, 0.0),
    "rotary_frequencies": (0.75, 0.5),
    "attention_norm/scale": (1.0, 0.05),
    "mlp_norm/scale": (1.0, 0.05),
    "cluster_kernel": (0.25, 0.125),
    "cluster_bias": (0.25, 0.125),
}


@pytest.mark.parametrize("kind", ["rate", "decay"])
def test_rates_and_decays(kind):
    """Without gradient only the decay acts, and none without weight."""
    model = make_model(
        make_backbone(num_layers=2),
        compile_arguments={
            "optimizer": capi_optimizer(
                1.0,
                weight_decay=0.5,
                clustering_learning_rate=0.25,
                clustering_weight_decay=0.125,
                rotary_learning_rate_multiplier=0.75,
            )
        },
    )
    is_rate = kind == "rate"
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(np.full(variable.shape, float(not is_rate)))
    model.optimizer.apply(
        [keras.ops.full(x.shape, float(is_rate)) for x in variables]
    )
    seen = set()
    for variable in variables:
        rule = next((r for r in RULES if variable.path.endswith(r)), None)
        seen.add(rule)
        rate, decay = RULES.get(rule, (1.0, 0.5))
        expected = -rate if is_rate else 1.0 - rate * decay
        np.testing.assert_allclose(
            to_numpy(variable), expected, atol=1e-6, err_msg=variable.path
        )
    assert seen == {*RULES, None}


def test_a_base_value_becomes_the_published_schedule():
    optimizer = capi_optimizer(1e-3, total_steps=100)
    config = optimizer.get_config()["learning_rate"]["config"]
    assert config["total_steps"] == 100
    assert config["warmup_steps"] == 10
    schedule = WarmupCosine(2e-3, 50, 5)
    optimizer = capi_optimizer(schedule, total_steps=100, warmup_steps=20)
    assert float(optimizer.learning_rate) == 0.0
    assert optimizer._learning_rate is schedule


def test_rates_can_be_set_during_training():
    optimizer = capi_optimizer(1e-3, clustering_learning_rate=1e-4)
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    assert float(optimizer.clustering_learning_rate) == pytest.approx(1e-4)
    optimizer.learning_rate = 5e-4
    assert float(optimizer.learning_rate) == pytest.approx(5e-4)


def test_setting_one_rate_keeps_the_others_in_proportion():
    optimizer = capi_optimizer(1e-3, clustering_learning_rate=1e-4)
    for rate in (0.0, 2e-3):
        optimizer.learning_rate = rate
        assert rates_of(optimizer) == pytest.approx((rate, rate / 10))
    optimizer.clustering_learning_rate = 1e-3
    optimizer.learning_rate = 1e-3
    assert rates_of(optimizer) == pytest.approx((1e-3, 5e-4))
    optimizer = capi_optimizer(1e-3, None, None, 0.1, WarmupCosine(1e-4, 9))
    optimizer.learning_rate = 1e-2
    assert rates_of(optimizer) == pytest.approx((1e-2, 1e-4))


def rates_of(optimizer):
    return (
        float(optimizer.learning_rate),
        float(optimizer.clustering_learning_rate),
    )


@pytest.mark.parametrize("value", [-1.0, float("nan"), "3"])
def test_a_bad_rate_is_not_set(value):
    optimizer = capi_optimizer(1e-3)
    for name in ("learning_rate", "clustering_learning_rate"):
        with pytest.raises(ValueError, match=f"`{name}` must be 0 or"):
            setattr(optimizer, name, value)
    assert rates_of(optimizer) == pytest.approx((1e-3, 5e-4))


def test_a_scheduled_rate_cannot_be_set():
    optimizer = capi_optimizer(1e-3, total_steps=10)
    for name in ("learning_rate", "clustering_learning_rate"):
        with pytest.raises(ValueError, match=f"`{name}` follows a schedule"):
            setattr(optimizer, name, 1e-4)


CALLBACKS = {
    "absolute": lambda: keras.callbacks.LearningRateScheduler(
        lambda epoch: 1e-2 * 0.5**epoch
    ),
    "relative": lambda: keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: 0.5 * rate if epoch else rate
    ),
    "plateau": lambda: keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=1, min_delta=100.0
    ),
}


@pytest.mark.parametrize(
    "name, precision",
    [
        ("absolute", "float32"),
        ("relative", "mixed_float16"),
        ("plateau", "float32"),
    ],
)
def test_callbacks_set_the_rates(name, precision):
    keras.config.set_dtype_policy(precision)
    model = make_model(
        compile_arguments={
            "optimizer": capi_optimizer(1e-2, clustering_learning_rate=2e-3)
        }
    )
    history = model.fit(
        make_images(8),
        batch_size=4,
        epochs=3,
        callbacks=[CALLBACKS[name]()],
        verbose=0,
    ).history
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    # On a plateau the first epoch is the best, and the others cost a half each.
    assert rates_of(optimizer) == pytest.approx((2.5e-3, 5e-4))
    assert history["learning_rate"][0] == pytest.approx(1e-2)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_that_set_a_scheduled_rate_are_refused_at_once(name):
    arguments = {"optimizer": capi_optimizer(1e-3, total_steps=10)}
    model = make_model(compile_arguments=arguments)
    with pytest.raises(ValueError, match="sets the learning rate, but"):
        model.fit(make_images(), verbose=0, callbacks=[CALLBACKS[name]()])
    assert int(model.optimizer.iterations) == 0


def test_config_round_trip():
    optimizer = capi_optimizer(
        1e-3, total_steps=10, beta_2=0.9, gradient_accumulation_steps=3
    )
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(optimizer)
    )
    assert copy.get_config() == optimizer.get_config()


def test_rotary_frequencies_are_fixed_unless_they_have_a_rate():
    for multiplier, moves in ((0.0, False), (1.0, True)):
        model = make_model(
            compile_arguments={
                "optimizer": capi_optimizer(
                    1e-2, rotary_learning_rate_multiplier=multiplier
                )
            }
        )
        for part in (model.student, model.teacher):
            block = part.encoder.blocks[0]
            before = to_numpy(block.attention.rotary_frequencies)
            model.train_on_batch({"images": make_images(), **make_indices()})
            after = to_numpy(block.attention.rotary_frequencies)
            assert (before != after).any() == moves


def test_accumulates_gradients():
    """A batch, accumulated twice, trains like that batch alone."""
    inputs = {"images": make_images(), **make_indices()}
    trained = []
    for accumulation in (None, 2):
        keras.utils.set_random_seed(0)
        schedule = WarmupCosine(1e-2, 20, 4, start_value=1e-3)
        model = make_model(
            compile_arguments={
                "optimizer": capi_optimizer(
                    schedule, gradient_accumulation_steps=accumulation
                )
            },
        )
        teacher_weight = model.teacher.encoder.blocks[0].mlp_hidden.kernel
        for update in range(3):
            for batch in range(accumulation or 1):
                before = to_numpy(teacher_weight)
                logs = model.train_on_batch(inputs, return_dict=True)
                updated = batch == (accumulation or 1) - 1
                assert (to_numpy(teacher_weight) != before).any() == updated
                assert int(model.optimizer.iterations) == update + updated
                assert logs["learning_rate"] == pytest.approx(
                    float(schedule(update))
                )
        trained.append([to_numpy(weight) for weight in model.weights])
    for whole, accumulated in zip(*trained, strict=True):
        np.testing.assert_allclose(whole, accumulated, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"warmup_steps": 3}, "warmup_steps=3"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"learning_rate": -1.0, "total_steps": 9}, "learning_rate=-1.0"),
        ({"beta_2": 1.0}, "beta_2=1.0"),
        ({"epsilon": -1}, "epsilon=-1"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1"),
        ({"norm_weight_decay_multiplier": np.nan}, "multiplier=nan"),
        ({"total_steps": "3"}, "total_steps='3'"),
        ({"gradient_accumulation_steps": 1}, "steps=1"),
        (
            {"clustering_learning_rate": -1.0},
            "clustering_learning_rate=-1.0",
        ),
        ({"total_steps": 10, "warmup_steps": 10}, "warmup_steps=10"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        capi_optimizer(**arguments)
