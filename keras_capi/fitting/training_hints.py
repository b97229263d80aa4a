import time
import warnings

import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.fitting.inner_optimizer import inner_optimizer
from keras_capi.fitting.schedule_settings import schedule_settings

NUM_STEPS = 24
# The times of faster steps always vary, and add up to little.
SECONDS = 0.5
WILD_RATIO = 3.0
# Share of the median below which nobody waited for a step.
AT_ONCE = 0.1
# Share of its full value below which a learning rate changes nothing.
NEGLIGIBLE = 0.01


class TrainingHints(keras.callbacks.Callback):
    """Warns about what makes a training useless or slow, and how to fix it.

    It warns if there are more clusters than images to assign to them, if the
    training ends while the learning rate still warms up or goes on after it has
    come down to nothing, and if the step times vary wildly. `fit` adds this
    callback by itself.

    Args:
        epochs: Integer. Epochs of the whole training; Keras's `fit` may be
            called for parts of it.
        batch_size: Integer or `None`, if it is not known.
    """

    # It reads no logs, and the model only between epochs.
    async_safe = True
    reads_step_logs = False

    def __init__(self, epochs, batch_size):
        super().__init__()
        self.epochs = epochs
        self.batch_size = batch_size
        self._seconds = []
        self._has_hinted = False
        self._has_ended = False
        self._is_done = False

    def on_train_begin(self, logs=None):
        clustering = getattr(self.model, "clustering", None)
        if clustering is None or self.batch_size is None:
            return
        batch_size = self.batch_size * backend.num_processes()
        spare = batch_size + clustering.queue_size - clustering.num_clusters
        if clustering.positionwise and spare < 0:
            warnings.warn(
                "There are more clusters than images to assign to them, so "
                "some stay unused: `num_clusters` should be at most the batch "
                "plus `queue_size`, and at most a sixteenth of the images of "
                "the data set; see `keras_capi.recipes.propose_settings`. "
                "Received: "
                f"num_clusters={clustering.num_clusters}, a batch of "
                f"{batch_size}, queue_size={clustering.queue_size}",
                stacklevel=2,
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._ends = []
        self._look_at_schedule()

    def on_train_batch_end(self, batch, logs=None):
        self._ends.append(time.perf_counter())
        if len(self._ends) > NUM_STEPS:
            self._look_at_times()

    def on_epoch_end(self, epoch, logs=None):
        self._look_at_times()
        self._is_done = epoch + 1 >= self.epochs

    def on_train_end(self, logs=None):
        if not (self._is_done or self.model.stop_training):
            return
        settings = schedule_settings(self.model.optimizer)
        warmup_steps = settings.get("warmup_steps") or 0
        num_updates = self._num_updates()
        if 0 < num_updates < warmup_steps:
            warnings.warn(
                f"The training ended after {num_updates} updates, within the "
                f"warm-up of {warmup_steps}: the learning rate never reached "
                "its full value. The `total_steps` of a schedule should be the "
                "updates of all epochs: images // batch size * epochs.",
                stacklevel=2,
            )

    def _num_updates(self):
        # `int` is not enough: under a strategy there is a value on each device.
        return int(ops.convert_to_numpy(self.model.optimizer.iterations))

    def _look_at_schedule(self):
        optimizer = self.model.optimizer
        settings = schedule_settings(optimizer)
        total_steps, full = map(settings.get, ("total_steps", "base_value"))
        if self._has_ended or total_steps is None or not full:
            return
        num_updates = self._num_updates()
        if num_updates < total_steps:
            return
        inner = inner_optimizer(optimizer)
        rate = float(ops.convert_to_numpy(inner.learning_rate))
        if rate < NEGLIGIBLE * full:
            self._has_ended = True
            warnings.warn(
                "The schedule of the learning rate has ended: after "
                f"{num_updates} updates the rate is {rate:.1e}, which hardly "
                "changes the model. The `total_steps` should be the updates of "
                "all epochs: images // batch size * epochs. Received: "
                f"total_steps={total_steps}",
                stacklevel=2,
            )

    def _look_at_times(self):
        # Keras may call this from other threads, so steps may end in any order.
        ends = sorted(self._ends)
        self._ends = ends[-1:]
        self._seconds += list(np.diff(ends))
        if len(self._seconds) < NUM_STEPS:
            return
        seconds, self._seconds = np.array(self._seconds), []
        middle = np.median(seconds)
        if middle <= SECONDS or self._has_hinted:
            return
        # JAX starts several steps at once, and then waits for each.
        awaited = seconds[seconds > AT_ONCE * middle]
        low, high = np.quantile(awaited, (0.1, 0.9))
        if high > WILD_RATIO * low:
            self._has_hinted = True
            warnings.warn(
                f"Step times vary from {low:.1f} to {high:.1f} s: "
                "other programs, or reading the images, compete for "
                "the processor. On torch and a shared CPU "
                "OMP_NUM_THREADS=1 may be ten times faster; `keras-capi "
                "doctor` shows cores, threads and load.",
                stacklevel=2,
            )
