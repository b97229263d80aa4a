"""Which steps have their logs read from the device, and who gets them."""

import collections
import functools
import json
import traceback

import keras
import numpy as np
import pytest
from helpers import make_denoising
from helpers import make_images

import keras_capi
from keras_capi.fitting import step_logs

NUM_STEPS = 9


class Recorder(keras.callbacks.Callback):
    async_safe = True

    def __init__(self):
        super().__init__()
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append(logs)


class Counter(Recorder):
    """Takes what there is, and asks for nothing."""

    reads_step_logs = False


@pytest.fixture
def transfers(monkeypatch):
    """What Keras brings to the host, by the method that asked for it."""
    found = collections.Counter()
    # Of `keras.ops` and of all that Keras does itself.
    convert = keras.src.backend.convert_to_numpy

    def count(x):
        frames = traceback.walk_stack(None)
        names = {frame.f_code.co_name for frame, _ in frames}
        for name in ("receive", "on_train_batch_end", "_on_train_batch_end"):
            if name in names:
                found[name] += 1
        return convert(x)

    monkeypatch.setattr(keras.src.backend, "convert_to_numpy", count)
    return found


@functools.cache
def shared_model():
    """Compiled once, for tests to which its values do not matter."""
    return make_denoising()


def fit(model, *callbacks, images=None, **arguments):
    images = make_images(NUM_STEPS) if images is None else images
    arguments = {"batch_size": 1, "verbose": 0, **arguments}
    return model.fit(images, callbacks=list(callbacks), **arguments)


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_between_two_readings_nothing_is_transferred(
    verbose, has_checkpoint, tmp_path, transfers, monkeypatch
):
    monkeypatch.setattr(step_logs, "SECONDS", np.inf)
    counter = Counter()
    callbacks = [counter]
    if has_checkpoint:
        callbacks.append(keras_capi.callbacks.Checkpoint(tmp_path))
    fit(shared_model(), *callbacks, verbose=verbose)
    # After 1, 2 and 4 steps.
    assert [bool(logs) for logs in counter.logs].count(True) == 3
    assert transfers == {"receive": 3}


def test_later_epochs_of_quick_steps_read_nothing(transfers, monkeypatch):
    monkeypatch.setattr(step_logs, "SECONDS", np.inf)
    history = fit(shared_model(), Counter(), epochs=4).history
    # Three in the first epoch, and after 8 of the 9 steps of the second.
    assert transfers == {"receive": 4}
    assert len(history["loss"]) == 4


def test_slow_steps_are_read_each(transfers, monkeypatch):
    monkeypatch.setattr(step_logs, "SECONDS", 0.0)
    counter = Counter()
    fit(shared_model(), counter)
    assert all(counter.logs)
    assert transfers == {"receive": NUM_STEPS}


def started_logs():
    logs = step_logs.StepLogs([])
    logs.set_model(shared_model())
    logs.set_params({"steps": None})
    logs.on_train_begin()
    logs.on_epoch_begin(0)
    return logs


def test_the_interval_is_about_a_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(step_logs.time, "perf_counter", lambda: now[0])
    logs = started_logs()
    read = []
    for batch in range(60):
        logs.on_train_batch_begin(batch)
        now[0] += 0.12 if batch < 40 else 3.0
        if logs.receive({"loss": 1.0}):
            read.append(batch + 1)
    assert read == [1, 3, 7, 15, 23, 31, 39, *range(47, 61)]


@pytest.mark.parametrize("kind", ["class", "lambda", "on_batch_end"])
def test_who_wants_logs_gets_those_of_each_step(kind, transfers, monkeypatch):
    monkeypatch.setattr(step_logs, "SECONDS", np.inf)
    recorder = Recorder()
    method = recorder.on_train_batch_end
    if kind == "class":
        callback = recorder
    elif kind == "lambda":
        callback = keras.callbacks.LambdaCallback(on_train_batch_end=method)
    else:
        callback = keras.callbacks.LambdaCallback(on_batch_end=method)
    history = fit(shared_model(), callback).history
    assert len(recorder.logs) == NUM_STEPS
    assert transfers == {"receive": NUM_STEPS}
    for logs in recorder.logs:
        assert set(json.loads(json.dumps(logs))) == set(history)
        assert all(type(value) is float for value in logs.values())
        assert dict(logs) == {**logs} == dict(logs.items())
    last = [logs["loss"] for logs in recorder.logs]
    assert history["loss"][0] in last


def test_the_history_does_not_depend_on_what_was_read(monkeypatch):
    histories = []
    for seconds in (0.0, np.inf):
        monkeypatch.setattr(step_logs, "SECONDS", seconds)
        keras.utils.set_random_seed(0)
        histories.append(fit(make_denoising(), epochs=2).history)
    assert histories[0] == histories[1]


@pytest.mark.parametrize("bad", [4, 8])
def test_a_bad_loss_is_named_by_its_step(bad, tmp_path, monkeypatch):
    """And no row is written for its epoch, even if noticed at its end."""
    monkeypatch.setattr(step_logs, "SECONDS", np.inf)
    images = make_images(NUM_STEPS)
    images[bad] = np.nan
    logger = keras.callbacks.CSVLogger(str(tmp_path / "history.csv"))
    with pytest.raises(RuntimeError, match=f"at step {bad + 1}:"):
        fit(make_denoising(), logger, images=images, shuffle=False)
    logger.csv_file.close()
    assert (tmp_path / "history.csv").read_text() == ""


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch takes one at a time"
)
def test_a_bad_loss_in_an_execution_of_fewer_steps():
    model = make_denoising()
    model.compile(model.optimizer, steps_per_execution=2)
    images = make_images(NUM_STEPS)
    images[-1] = np.nan
    with pytest.raises(RuntimeError, match=f"at step {NUM_STEPS}:"):
        fit(model, images=images, shuffle=False)


def test_keras_hands_nothing_on_of_logs_that_are_false(monkeypatch):
    """If this fails, Keras reads the logs of each step again."""
    monkeypatch.setattr(step_logs, "SECONDS", np.inf)

    class Value:
        def __float__(self):
            raise AssertionError

    recorder = Recorder()
    step = started_logs()
    for batch in range(2):
        step.on_train_batch_begin(batch)
        logs = step.receive({"loss": Value() if batch else 1.0})
    callbacks = keras.callbacks.CallbackList([recorder])
    callbacks.on_train_begin()
    callbacks.on_train_batch_end(1, logs)
    callbacks.on_train_end()
    assert recorder.logs == [{}]
    assert set(logs) == {"loss"}


def test_only_single_numbers_are_read_at_once():
    logs = {
        "loss": keras.ops.convert_to_tensor(0.1, "float32"),
        "count": keras.ops.convert_to_tensor(2**24 + 1, "int32"),
        "rows": keras.ops.ones((2,)),
        "own": 3,
    }
    read = step_logs.read_logs(logs)
    assert read["loss"] == float(np.float32(0.1))
    assert read["count"] is logs["count"] and read["rows"] is logs["rows"]
    assert read["own"] == 3
    assert step_logs.read_logs({"own": 3}) == {"own": 3}
