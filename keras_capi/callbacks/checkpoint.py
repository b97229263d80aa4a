import keras
from keras import ops

from keras_capi import backend
from keras_capi.callbacks.checkpoint_folder import WEIGHTS
from keras_capi.callbacks.checkpoint_folder import CheckpointFolder
from keras_capi.callbacks.checkpoint_folder import read_state
from keras_capi.callbacks.find_checkpoint import find_intact
from keras_capi.callbacks.find_checkpoint import find_suitable
from keras_capi.callbacks.find_checkpoint import is_writer
from keras_capi.callbacks.find_checkpoint import say
from keras_capi.callbacks.model_state import get_metrics
from keras_capi.callbacks.model_state import is_finite
from keras_capi.callbacks.model_state import load_state
from keras_capi.callbacks.model_state import set_metrics
from keras_capi.callbacks.model_state import state_in_memory
from keras_capi.callbacks.stop_signals import StopSignals
from keras_capi.callbacks.training_settings import as_line
from keras_capi.callbacks.training_settings import compare_settings
from keras_capi.callbacks.training_settings import describe_data
from keras_capi.callbacks.training_settings import training_settings
from keras_capi.callbacks.training_settings import variable_name
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


class Checkpoint(keras.callbacks.Callback):
    """Saves a training so that it can resume as if it had never stopped.

    For the models of this package. Start the same script again: `fit` resumes
    from the newest checkpoint in `directory`, with weights, optimizer, random
    masks and epoch as they were, and with the same data if `dataset` knows what
    comes next. Even if the process is killed while saving, earlier checkpoints
    survive: each is written under another name, flushed to the disk, and then
    renamed. A damaged one is set aside, and the one before is used.

    The settings must be those of the checkpoint. You can add epochs, and change
    learning rates, weight decays, gradient clipping and the momentum of the
    teacher; changes take effect from there on.

    When a scheduler sends a signal before it takes a machine away, the state is
    saved after the current step, and the process exits with code 75 ("temporary
    failure"), on which a scheduler can start it again. Ctrl-C (`SIGINT`) does
    the same, but raises `KeyboardInterrupt`. A second signal ends the training
    at once, and so does a first one if no step ends.

    Make it the last callback, so that all others have finished an epoch before
    its state is saved. With several processes the first one writes and all
    read, so they need a shared directory. On torch a signal to one of them
    stops all after the same step; on JAX it must reach all.

    Args:
        directory: String or path. Folder for the checkpoints of this training
            only.
        dataset: The data set of `fit` if it has a method `go_to(epoch, batch)`
            and a `position`, such as `keras_capi.data.RandomCrops`. `None`
            resumes at the beginning of an interrupted epoch, without shuffling.
            Defaults to `None`.
        every: Integer or `None`. Batches between checkpoints; `None` saves only
            at the end of an epoch. Needs `dataset`. Defaults to `None`.
        keep: Integer. How many checkpoints to keep. Defaults to `2`.
        max_restores: Integer. How often one `fit` may return to the last
            checkpoint when a loss is not finite. It then continues with the
            data after the bad batch or, without `dataset`, after the bad epoch.
            After that many times, or without a checkpoint, it ends with an
            error. Defaults to `0`, an error at once.
        signals: Tuple of names. The signals at which to save and exit, `()` for
            none. Defaults to `("SIGTERM", "SIGUSR1", "SIGINT")`.

    Raises:
        ValueError: If an argument is out of range. In `fit`, if the checkpoints
            have other settings, are all damaged or in use by a running process,
            or if the model is not from this package.
        OSError: If a checkpoint cannot be written, for example to a full disk.
            Earlier ones are kept.

    Example:

    >>> checkpoint = keras_capi.callbacks.Checkpoint("run/checkpoints")
    >>> model.fit(images, epochs=100, callbacks=[checkpoint])
    """

    reads_step_logs = False

    def __init__(
        self,
        directory,
        dataset=None,
        every=None,
        keep=2,
        max_restores=0,
        signals=("SIGTERM", "SIGUSR1", "SIGINT"),
    ):
        super().__init__()
        check_positive_integer("keep", keep)
        check_non_negative_integer("max_restores", max_restores)
        if every is not None:
            check_positive_integer("every", every)
            if dataset is None:
                raise ValueError(
                    "`every` needs the `dataset`, to go on within an epoch. "
                    f"Received: every={every}, dataset=None"
                )
        if dataset is not None and not (
            hasattr(dataset, "go_to") and hasattr(dataset, "position")
        ):
            raise ValueError(
                "`dataset` must have a method `go_to(epoch, batch)` and a "
                f"`position`. Received: dataset={dataset!r}"
            )
        self.dataset = dataset
        self.every = every
        self.keep = keep
        self.max_restores = max_restores
        self._folder = CheckpointFolder(directory)
        self.directory = self._folder.path
        self._signals = StopSignals(signals, self._stop_between_steps)
        # Belong to the training that `restore` has prepared.
        self._trained = self._settings = None
        self._num_restores = 0
        self._metrics = []
        self._is_last_batch = False

    def restore(self, model, x=None, y=None, batch_size=None):
        """Restores a model, and the data set, to the newest checkpoint.

        Models of this package call this in `fit`, and `release` at its end.

        Args:
            model: A compiled and built `keras.Model`.
            x: As in `fit`, compared without `dataset`. Defaults to `None`.
            y: The same. Defaults to `None`.
            batch_size: The same. Defaults to `None`.

        Returns:
            Tuple of two integers: the epoch and the batch within it to continue
            with, both 0 without a checkpoint.
        """
        self._trained = model
        self._num_restores = 0
        backend.build_optimizer(model)
        self._go_to(0, 0)
        x = x if self.dataset is None else self.dataset
        data = describe_data(x, y, batch_size)
        self._settings = training_settings(model, data)
        if is_writer():
            self._folder.open()
        path = find_suitable(self._folder, model, self._settings)
        if path is None:
            return 0, 0
        state = read_state(path)
        self._go_to(state["epoch"], state["batch"])
        _, changed = compare_settings(state.get("settings"), self._settings)
        if changed:
            say(f"Changed since the checkpoint: {as_line(changed)}.")
        rates = [variable_name(setting) for setting in changed]
        load_state(model, path / WEIGHTS, rates)
        self._metrics = state.get("metrics", [])
        return state["epoch"], state["batch"]

    def skip(self, model, batch):
        """Restores a model to the newest checkpoint, but not the data.

        Models of this package call this in `fit` when a loss is not finite, as
        the same batches would most likely fail again.

        Args:
            model: The model.
            batch: Integer. The batch with that loss, as Keras counts them.

        Returns:
            Tuple of two integers: the epoch and the batch to continue with,
            after the one with the bad loss. `None` if there is no checkpoint,
            or `max_restores` is used up.
        """
        if self._num_restores == self.max_restores:
            return None
        path = find_intact(self._folder)
        if path is None:
            return None
        self._num_restores += 1
        load_state(model, path / WEIGHTS)
        position = self._first_batch + batch + 1
        stopped = self._is_last_batch and position == self._batch
        self._batch = position
        say(
            f"The loss was not finite in epoch {self._epoch + 1}, batch "
            f"{self._batch}. Back to the weights of {path}, on with the data "
            f"after it ({self._num_restores} of {self.max_restores})."
        )
        if stopped or self._ends_epoch(batch) or self.dataset is None:
            return self._go_to(self._epoch + 1, 0)
        state = read_state(path)
        if state["epoch"] == self._epoch:
            self._metrics = state.get("metrics", [])
        return self._go_to(self._epoch, self._batch)

    def release(self):
        """Releases the signals and the directory."""
        self._signals.release()
        self._trained = self._settings = None
        if is_writer():
            self._folder.close()

    def on_train_begin(self, logs=None):
        if self._settings is None:
            raise ValueError(
                "`Checkpoint` must be in the list of callbacks of a model of "
                "this package, whose `fit` resumes from it. For others take "
                "`keras.callbacks.BackupAndRestore`. Received: a model of "
                f"class {type(self.model).__name__}"
            )
        self._signals.listen()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._first_batch = 0
        self._is_last_batch = False
        if self.dataset is not None:
            _, self._first_batch = self.dataset.position
        self._batch = self._saved = self._first_batch
        # The metrics of an interrupted epoch so far, for its logs.
        set_metrics(self.model, self._metrics)
        self._metrics = []

    def on_train_batch_end(self, batch, logs=None):
        self._batch = self._first_batch + batch + 1
        # Not `self.model`, as that would sync JAX's state.
        stops = self._trained.stop_training
        self._is_last_batch = stops or self._ends_epoch(batch)
        self._signals.beat(self._is_last_batch)
        if self._is_last_batch:
            # The end of the epoch comes next.
            return
        self._hear_others()
        is_due = self.every and self._batch - self._saved >= self.every
        if is_due or (self._signals.received and self.dataset is not None):
            self._save(self._epoch, self._batch, logs)
            self._saved = self._batch
        self._stop_if_asked()

    def on_test_batch_end(self, batch, logs=None):
        self._signals.beat(is_epoch_end=True)

    def on_epoch_end(self, epoch, logs=None):
        self._signals.beat()
        self._hear_others()
        self._save(epoch + 1, 0, logs)
        self._stop_if_asked()

    def on_train_end(self, logs=None):
        self._signals.release()

    def _stop_if_asked(self):
        if self._signals.received:
            raise self._signals.ending()

    def _hear_others(self):
        if backend.replica()[1] > 1:
            received = ops.convert_to_tensor(self._signals.received, "int32")
            self._signals.received = int(backend.all_reduce(received, "max"))

    def _stop_between_steps(self):
        # Other processes must stop after the same step, and it is better to
        # wait for the end of an epoch.
        if backend.replica()[1] > 1 or self._is_last_batch:
            return
        if self.dataset is not None and self._batch > self._saved:
            self._save(self._epoch, self._batch, None)
        self._stop_if_asked()

    def _ends_epoch(self, batch):
        # With several steps per execution, the last one may be beyond the end.
        num_batches = self.params["steps"]
        return bool(num_batches) and batch + 1 >= num_batches

    def _go_to(self, epoch, batch):
        if self.dataset is not None:
            self.dataset.go_to(epoch, batch)
        left = len(self.dataset) if hasattr(self.dataset, "__len__") else 1
        if batch and (self.dataset is None or left < 1):
            raise ValueError(
                "A training must resume with the same data set, and nothing is "
                f"left of its epoch. Received: batch={batch}, "
                f"dataset={self.dataset}"
            )
        return epoch, batch

    def _save(self, epoch, batch, logs):
        is_there = self._folder.has(epoch, batch)
        if not is_writer() or is_there or not is_finite(self.model, logs):
            return
        state = {
            "metrics": get_metrics(self.model) if batch else [],
            "settings": self._settings,
        }
        with self._signals.saving():
            content = state_in_memory(self.model)
            self._folder.write(epoch, batch, content, state)
            self._folder.prune(self.keep)
