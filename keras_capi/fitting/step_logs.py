"""Reading the logs of steps so rarely that the device never waits."""

import math
import time

import keras
from keras import ops

from keras_capi import backend
from keras_capi.fitting.non_finite_loss import check_finite_loss

# Time between two readings.
SECONDS = 1.0


class StepLogs(keras.callbacks.Callback):
    """Decides at which steps the logs are read, and checks the loss.

    Reading a value means waiting for its step, and then a GPU waits for the
    next step to start. So all logs are read in one go about once a second; in
    between, callbacks get no logs and the progress bar keeps its numbers. Every
    step is read if steps are slower than that, if a callback may need the logs,
    and if several processes train, which must all notice a bad loss at the same
    time.

    The first loss that is not finite ends the training with an error. Unlike
    `keras.callbacks.TerminateOnNaN`, it names the step, counted from the start
    of this `fit`, and says what to do. Callbacks after this one do not see the
    end of that epoch.

    Args:
        callbacks: List of the other callbacks. One with an `on_train_batch_end`
            (or `on_batch_end`) of its own gets the logs of each step, unless it
            declares `reads_step_logs = False`.
    """

    # It must not read `model` between steps, as that would sync JAX's state.
    async_safe = True
    reads_step_logs = False

    def __init__(self, callbacks):
        super().__init__()
        reads = backend.num_processes() > 1 or any(map(_reads, callbacks))
        self._max_interval = 1 if reads else math.inf
        self._interval = 1
        self._bad_batch = None

    def on_train_begin(self, logs=None):
        self._num_steps = 0
        self._steps_per_execution = self.model.steps_per_execution

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self._num_steps
        self._unread = []
        self._time = time.perf_counter()

    def on_train_batch_begin(self, batch, logs=None):
        end = batch + self._steps_per_execution
        # The last execution of an epoch may have fewer steps.
        end = min(end, self.params["steps"] or end)
        self._batch = end - 1
        self._num_steps = self._first_step + end

    def receive(self, logs):
        """Takes the logs of the step that was just started.

        Args:
            logs: Dictionary of tensors.

        Returns:
            Dictionary for the callbacks: numbers, or logs that look empty to
            Keras.
        """
        self._unread.append((self._batch, logs))
        if len(self._unread) < self._interval:
            return _UnreadLogs(logs)
        logs = read_logs(logs)
        self._look_at(logs)
        self._choose_interval(len(self._unread))
        self._unread = []
        return logs

    def on_train_batch_end(self, batch, logs=None):
        # Not in `receive`, where Keras is in the middle of handling JAX's
        # state.
        self._check()

    def on_epoch_end(self, epoch, logs=None):
        self._look_at(logs)
        self._check()

    def _choose_interval(self, num_steps):
        former, self._time = self._time, time.perf_counter()
        interval = SECONDS * num_steps / max(self._time - former, 1e-9)
        # A few fast steps say little about the next ones.
        interval = min(interval, 2 * self._interval, self._max_interval)
        self._interval = max(int(interval), 1)

    def _look_at(self, logs):
        if math.isfinite(logs.get("loss", 0.0)):
            return
        for batch, unread in self._unread:
            loss = float(ops.convert_to_numpy(unread["loss"]))
            if not math.isfinite(loss):
                self._bad_loss, self._bad_batch = loss, batch
                return

    def _check(self):
        if self._bad_batch is not None:
            step = self._first_step + self._bad_batch + 1
            check_finite_loss(self._bad_loss, step, self._bad_batch)


class _UnreadLogs(dict):
    """Logs that stay on the device.

    Keras passes `logs or {}` to callbacks and reads that, so logs that are
    false are replaced by nothing. `fit` itself uses the names and values like
    those of any logs.
    """

    def __bool__(self):
        return False


def read_logs(logs):
    """Reads all numbers of logs in one transfer.

    Args:
        logs: Dictionary. Values other than scalar float32 tensors are kept.
    """
    names = [
        name
        for name, value in logs.items()
        if ops.is_tensor(value)
        and len(value.shape) == 0
        and keras.backend.standardize_dtype(value.dtype) == "float32"
    ]
    if not names:
        return dict(logs)
    numbers = _stack([logs[name] for name in names])
    numbers = ops.convert_to_numpy(numbers).tolist()
    return {**logs, **dict(zip(names, numbers, strict=True))}


_stack = backend.compiled(ops.stack)


def _reads(callback):
    if not getattr(callback, "reads_step_logs", True):
        return False
    return any(
        getattr(getattr(callback, name), "__func__", None)
        is not getattr(keras.callbacks.Callback, name)
        for name in ("on_train_batch_end", "on_batch_end")
    )
