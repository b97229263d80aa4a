import keras
import numpy as np
import pytest
from helpers import to_numpy

import keras_capi
from keras_capi.layers import DropPath
from keras_capi.layers import RandomMasking
from keras_capi.layers import RandomState


def draw(state):
    return to_numpy(keras.random.uniform((5,), seed=state.generator))


def test_same_seed_same_sequence():
    first, second, other = (RandomState(seed) for seed in (3, 3, 50))
    numbers = [draw(first) for _ in range(3)]
    for expected in numbers:
        np.testing.assert_array_equal(draw(second), expected)
    assert len(np.unique(np.concatenate([*numbers, draw(other)]))) == 20


def test_without_a_seed_every_object_draws_its_own_numbers():
    assert np.abs(draw(RandomState()) - draw(RandomState())).max() > 1e-3


def test_config_round_trip():
    state = RandomState(7, name="state")
    config = state.get_config()
    assert config["seed"] == 7
    clone = RandomState.from_config(config)
    assert clone.get_config() == config
    np.testing.assert_array_equal(draw(clone), draw(state))


def test_saved_state_continues_the_sequence():
    state = RandomState(3)
    draw(state)
    store = {}
    state.save_own_variables(store)
    expected = [draw(state) for _ in range(2)]
    other = RandomState(99)
    other.load_own_variables(store)
    for numbers in expected:
        np.testing.assert_array_equal(draw(other), numbers)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
def test_reads_the_state_of_any_backend(dtype):
    state = RandomState(3)
    store = {}
    state.save_own_variables(store)
    other = RandomState(99)
    other.load_own_variables({"state": store["state"].astype(dtype)})
    np.testing.assert_array_equal(draw(other), draw(state))


def test_what_samples_have_in_common_replicas_have_too(monkeypatch):
    numbers, own = [], []
    for index in range(2):
        monkeypatch.setattr(
            keras_capi.backend, "replica", lambda index=index: (index, 2)
        )
        state = RandomState(3)
        numbers.append(to_numpy(state.uniform((1, 4), batch_axis=None)))
        own.append(to_numpy(state.uniform((1, 4))))
    np.testing.assert_array_equal(*numbers)
    assert numbers[0].shape == (1, 4)
    assert (own[0] != own[1]).all()


def test_replicas_draw_no_more_than_their_share(monkeypatch):
    alone = [to_numpy(RandomState(3).uniform((4, 5)))]
    alone.append(to_numpy(RandomState(3).uniform_of_replica((4, 5))))
    np.testing.assert_array_equal(*alone)
    numbers, states = [], []
    for index in range(2):
        monkeypatch.setattr(
            keras_capi.backend, "replica", lambda index=index: (index, 2)
        )
        state = RandomState(3)
        numbers += [to_numpy(state.uniform_of_replica((4, 5))) for _ in "ab"]
        states.append(to_numpy(state.generator.state))
    assert len(np.unique(np.concatenate(numbers))) == 4 * 20
    np.testing.assert_array_equal(*states)


def test_normal_numbers(monkeypatch):
    numbers = to_numpy(RandomState(3).normal((100, 100)))
    assert abs(numbers.mean()) < 0.05 and abs(numbers.std() - 1.0) < 0.05
    # A replica takes its share of the numbers of the whole batch.
    for index, share in enumerate((numbers[:50], numbers[50:])):
        monkeypatch.setattr(
            keras_capi.backend, "replica", lambda index=index: (index, 2)
        )
        own = to_numpy(RandomState(3).normal((50, 100)))
        np.testing.assert_array_equal(own, share)


def test_state_is_not_a_weight():
    state = RandomState(3)
    assert state.weights == []
    # Saved once, not a second time by the layer that owns it.
    layer = RandomMasking((4, 4), prediction_ratio=0.5)
    assert layer.weights == [] and len(layer.variables) == 1


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_saved_model_continues_the_sequence(tmp_path, suffix):
    def make_model(seed):
        inputs = keras.Input((3,))
        return keras.Model(inputs, DropPath(0.5, seed=seed)(inputs))

    x = np.ones((16, 3), "float32")
    model = make_model(seed=1)
    model(x, training=True)
    path = tmp_path / f"model{suffix}"
    if suffix == ".keras":
        model.save(path)
        clone = keras.saving.load_model(path)
    else:
        model.save_weights(path)
        clone = make_model(seed=50)
        clone.load_weights(path)
    for _ in range(3):
        expected = to_numpy(model(x, training=True))
        outputs = to_numpy(clone(x, training=True))
        np.testing.assert_array_equal(outputs, expected)
