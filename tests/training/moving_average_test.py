import keras
import numpy as np
import pytest
from helpers import make_dino
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy
from keras import ops

import keras_capi
from keras_capi.training import MovingAverage


def make_pair(momentum):
    layer = keras.layers.Dense(3, name="head")
    layer.build((None, 2))
    average = MovingAverage(momentum)
    copy = average.follow(layer, name="teacher_head", activity=None)
    return average, layer, copy


def move(average, step=0, applied=True):
    return average.move(
        ops.convert_to_tensor(step), ops.convert_to_tensor(applied)
    )


def test_copies_follow():
    average, layer, copy = make_pair(0.75)
    assert copy.name == "teacher_head" and not copy.trainable_variables
    before = to_numpy(copy.kernel)
    np.testing.assert_array_equal(before, to_numpy(layer.kernel))
    layer.kernel.assign(before + 4.0)
    logs = move(average)
    assert float(logs["ema_momentum"]) == 0.75
    np.testing.assert_allclose(to_numpy(copy.kernel), before + 1.0, atol=1e-6)


@pytest.mark.parametrize("momentum, applied", [(1.0, True), (0.5, False)])
def test_nothing_moves_even_beside_values_that_are_not_finite(
    momentum, applied
):
    average, layer, copy = make_pair(momentum)
    before = to_numpy(copy.kernel)
    layer.kernel.assign(before * np.nan)
    move(average, applied=applied)
    np.testing.assert_array_equal(to_numpy(copy.kernel), before)


class Counts(keras.layers.Dense):
    def build(self, input_shape):
        super().build(input_shape)
        self.count = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False
        )


def test_counters_stay():
    layer = Counts(3, name="head")
    layer.build((None, 2))
    average = MovingAverage(0.0)
    copy = average.follow(layer, name="teacher_head")
    layer.count.assign(7)
    layer.bias.assign(ops.ones(3))
    move(average)
    assert int(to_numpy(copy.count)) == 0
    np.testing.assert_array_equal(to_numpy(copy.bias), np.ones(3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("applied", [True, False])
def test_all_of_a_part_follows(dtype, applied):
    """Enough values for a vectorised kernel, of several shapes."""
    layer = keras.layers.Dense(33, dtype=dtype, name="head")
    layer.build((None, 50))
    average = MovingAverage(0.75)
    copy = average.follow(layer, name="teacher_head")
    before = [to_numpy(x).astype("float32") for x in copy.weights]
    for variable in layer.weights:
        variable.assign_add(ops.ones(variable.shape, dtype))
    move(average, applied=applied)
    for variable, old in zip(copy.weights, before, strict=True):
        np.testing.assert_allclose(
            to_numpy(variable).astype("float32"),
            old + 0.25 * applied,
            atol=1e-6 if dtype == "float32" else 0.02,
        )


def test_a_schedule_is_asked_for_the_step():
    schedule = keras_capi.optimizers.WarmupCosine(
        0.5, 10, final_value=1.0, truncate=1.0
    )
    average, layer, copy = make_pair(schedule)
    momentum = float(move(average, step=5)["ema_momentum"])
    assert momentum == pytest.approx(0.75)


def test_equal_weights_stay_equal():
    average, layer, copy = make_pair(0.9)
    before = to_numpy(copy.kernel)
    for _ in range(3):
        move(average)
    np.testing.assert_array_equal(to_numpy(copy.kernel), before)


def test_copies_only_infer():
    vit = make_vit(drop_path_rate=0.2, attention_dropout_rate=0.2)
    config = MovingAverage().follow(vit, name="teacher").get_config()
    assert (config["drop_path_rate"], config["attention_dropout_rate"]) == (
        0,
        0,
    )


class Forgetful(keras.layers.Dense):
    def get_config(self):
        return {**super().get_config(), "units": 3}


class Unmade(keras.layers.Dense):
    def __init__(self):
        super().__init__(4)


@pytest.mark.parametrize(
    "layer, received",
    [
        (Forgetful(4), r"Forgetful, .* shape \(2, 4\) .* copy has \(2, 3\)"),
        (Unmade(), "Unmade, which raises the error above"),
    ],
)
def test_parts_that_their_config_does_not_describe(layer, received):
    layer.build((None, 2))
    with pytest.raises(ValueError, match=f"a `get_config`.*{received}"):
        MovingAverage().follow(layer, name="copy")


class OfOneWidth(keras_capi.encoders.Encoder):
    """Has arguments that the base class does not know."""

    def __init__(self, depth=1, **kwargs):
        super().__init__(4, 1, 16, 0, (16, 16, 3))
        self.depth = depth
        self.blocks = [keras.layers.Dense(16) for _ in range(depth)]
        for block in self.blocks:
            block.build((None, None, 16))
        self.finish()


@pytest.mark.parametrize("method", ["IJEPA", "DINO", "Data2Vec"])
def test_own_encoders_that_cannot_be_copied(method):
    """Their message comes first: not one about what a copy lacks."""
    make = getattr(keras_capi.methods, method)
    with pytest.raises(
        ValueError,
        match=r"a `get_config` that returns.*OfOneWidth, .* copy has None",
    ):
        make(OfOneWidth(2))


def test_random_numbers_do_not_follow():
    layer = keras.layers.Dropout(0.5, seed=1)
    layer.build((None, 2))
    average = MovingAverage(0.5)
    copy = average.follow(layer, name="copy")
    before = [to_numpy(variable) for variable in copy.variables]
    other = keras.layers.Dense(1)
    other.build((None, 1))
    average.follow(other, name="other")
    layer(np.ones((1, 2), "float32"), training=True)
    move(average)
    for variable, value in zip(copy.variables, before, strict=True):
        np.testing.assert_array_equal(to_numpy(variable), value)


def test_a_teacher_that_trains_is_refused(tmp_path):
    """JAX would decay it, as its gradient is 0 there."""
    model = make_dino()
    model.compile("sgd")
    images = make_images(4)
    model.train_on_batch(images)
    head = keras_capi.tasks.ImageClassifier(model.encoder, 2)
    model.compile("sgd")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        with pytest.raises(ValueError, match="must be frozen.*'teacher' with"):
            each.fit(images, verbose=0)
        with pytest.raises(ValueError, match="must be frozen.*'teacher' with"):
            each.train_on_batch(images)
    head.freeze_backbone = True
    model.compile("sgd")
    model.fit(images, verbose=0)
