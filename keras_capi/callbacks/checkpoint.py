import json
import math
import os
import pathlib
import shutil
import signal
import threading

import keras
from keras import ops

from keras_capi import backend
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer

# What `sysexits.h` calls EX_TEMPFAIL: "try again later".
EXIT_CODE = 75
PREFIX = "checkpoint-"
PARTIAL = "partial-"
WEIGHTS = "model.weights.h5"
STATE = "state.json"


class Checkpoint(keras.callbacks.Callback):
    """Saves a training so that it goes on after any end, as if uninterrupted.

    For the models of this package that are pretrained. Start the same script
    again: `fit` goes on from the newest checkpoint in `directory`, with
    weights, optimizer, random masks and epoch as they were, and with the same
    data if `dataset` tells what comes next. Whatever kills a process, even in
    the middle of saving, leaves the checkpoints before: each is written under
    another name, flushed to the disk, and then renamed.

    At the signals that schedulers send before they take a machine away, the
    current state is saved after the running step, and the process exits with
    code 75 ("temporary failure"), on which a scheduler can start it again.

    Make it the last of the callbacks, so that what the others do at the end of
    an epoch is done before its state is saved. Of several processes the first
    writes and all read: they need a directory in common. On torch a signal to
    one of them stops all after the same step; on JAX it must reach all.

    Args:
        directory: String or path. Where the checkpoints are, those of one
            training only.
        dataset: The data set of `fit` if it has a method
            `go_to(epoch, batch)` and tells its `position`, such as
            `keras_capi.data.RandomCrops`. `None` goes on at the beginning of
            an interrupted epoch, without shuffling. Defaults to `None`.
        every: Integer or `None`. Batches between checkpoints; `None` saves at
            the end of each epoch only. Needs `dataset`. Defaults to `None`.
        keep: Integer. How many checkpoints to keep. Defaults to `2`.
        max_restores: Integer. How often one `fit` may go back to the last
            checkpoint when a loss is not finite. It then goes on with the data
            after the bad batch or, without `dataset`, after the bad epoch.
            After that many times, or without a checkpoint, it ends with an
            error. Defaults to `0`, an error at once.
        signals: Tuple of names. The signals at which to save and exit. Defaults
            to `("SIGTERM", "SIGUSR1")`.

    Raises:
        ValueError: If `every` is given without `dataset`, or `dataset` has no
            `go_to`.
        OSError: If a checkpoint cannot be written, for example to a full disk.
            The ones before stay.

    Example:

    >>> checkpoint = keras_capi.callbacks.Checkpoint("run/checkpoints")
    >>> model.fit(images, epochs=100, callbacks=[checkpoint])
    """

    def __init__(
        self,
        directory,
        dataset=None,
        every=None,
        keep=2,
        max_restores=0,
        signals=("SIGTERM", "SIGUSR1"),
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
        unknown = [n for n in signals if n not in signal.Signals.__members__]
        # Windows does not have these.
        if not {"SIGUSR1", "SIGUSR2"}.issuperset(unknown):
            raise ValueError(
                "`signals` must be names of signals such as 'SIGTERM'. "
                f"Received: signals={signals}"
            )
        self.directory = pathlib.Path(directory)
        self.dataset = dataset
        self.every = every
        self.keep = keep
        self.max_restores = max_restores
        self.signals = [n for n in signals if n not in unknown]
        self._previous_handlers = {}
        self._received = 0
        self._num_restores = 0

    def restore(self, model):
        """Puts a model, and the data set, where the newest checkpoint was.

        Models of this package call it in `fit`.

        Args:
            model: A compiled and built `keras.Model`.

        Returns:
            Tuple of two integers: the epoch and the batch within it to go on
            with, both 0 without a checkpoint.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if _is_writer():
            for partial in self.directory.glob(PARTIAL + "*"):
                shutil.rmtree(partial)
        self._num_restores = 0
        newest = self._find()[-1:]
        if not newest:
            return self._go_to(0, 0)
        model.load_weights(newest[0] / WEIGHTS)
        state = json.loads((newest[0] / STATE).read_text())
        return self._go_to(state["epoch"], state["batch"])

    def skip(self, model):
        """Puts a model where the newest checkpoint was, but not the data.

        Models of this package call it in `fit` when a loss is not finite. The
        same batches would most likely end there again.

        Args:
            model: The model.

        Returns:
            Tuple of two integers: the epoch and the batch after the one with
            the bad loss. `None` if there is no checkpoint, or if
            `max_restores` are used up.
        """
        newest = self._find()[-1:]
        if not newest or self._num_restores == self.max_restores:
            return None
        self._num_restores += 1
        model.load_weights(newest[0] / WEIGHTS)
        print(
            f"The loss was not finite in epoch {self._epoch + 1}, batch "
            f"{self._batch}. Back to the weights of {newest[0]}, on with the "
            f"data after it ({self._num_restores} of {self.max_restores}).",
            flush=True,
        )
        if self._is_last_batch or self.dataset is None:
            return self._go_to(self._epoch + 1, 0)
        return self._go_to(self._epoch, self._batch)

    def release(self):
        """Gives the signals back to their former handlers."""
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers = {}

    def on_train_begin(self, logs=None):
        self._received = 0
        # Python lets no other thread do so.
        if threading.current_thread() is threading.main_thread():
            for name in self.signals:
                number = signal.Signals[name]
                handler = signal.signal(number, self._remember)
                self._previous_handlers.setdefault(number, handler)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._first_batch = 0
        self._is_last_batch = False
        if self.dataset is not None:
            _, self._first_batch = self.dataset.position
        self._batch = self._saved = self._first_batch

    def on_train_batch_end(self, batch, logs=None):
        self._batch = self._first_batch + batch + 1
        # The last of several steps per execution may be beyond the end.
        num_batches = self.params["steps"]
        self._is_last_batch = self.model.stop_training or (
            num_batches and batch + 1 >= num_batches
        )
        if self._is_last_batch:
            # The end of the epoch is next.
            return
        self._hear_others()
        is_due = self.every and self._batch - self._saved >= self.every
        if is_due or (self._received and self.dataset is not None):
            self._save(self._epoch, self._batch, logs)
            self._saved = self._batch
        self._stop_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        self._hear_others()
        self._save(epoch + 1, 0, logs)
        self._stop_if_asked()

    def on_train_end(self, logs=None):
        self.release()

    def _remember(self, number, frame):
        self._received = number

    def _hear_others(self):
        if backend.replica()[1] == 1:
            return
        received = ops.convert_to_tensor(self._received, "int32")
        self._received = int(backend.all_reduce(received, "max"))

    def _stop_if_asked(self):
        if self._received:
            name = signal.Signals(self._received).name
            print(f"Stopped by {name}. Start again to go on.", flush=True)
            raise SystemExit(EXIT_CODE)

    def _is_finite(self, logs):
        # The callback that ends such a training may notice it later, and not
        # before the next step if gradients were not finite, but their loss.
        return math.isfinite((logs or {}).get("loss", 0.0)) and all(
            ops.all(ops.isfinite(x)) for x in self.model.trainable_variables
        )

    def _find(self):
        return sorted(self.directory.glob(PREFIX + "*"))

    def _go_to(self, epoch, batch):
        if self.dataset is not None:
            self.dataset.go_to(epoch, batch)
        return epoch, batch

    def _save(self, epoch, batch, logs):
        name = f"{epoch:06}-{batch:08}"
        target = self.directory / (PREFIX + name)
        if not _is_writer() or target.exists() or not self._is_finite(logs):
            return
        partial = self.directory / (PARTIAL + name)
        try:
            partial.mkdir()
            self.model.save_weights(partial / WEIGHTS)
            state = {"epoch": epoch, "batch": batch}
            (partial / STATE).write_text(json.dumps(state))
            for path in (*partial.iterdir(), partial):
                _flush(path)
            partial.rename(target)
            _flush(self.directory)
        # HDF5 may say so when it closes the file, as a RuntimeError.
        except (OSError, RuntimeError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            kept = self._find()[-1:]
            raise OSError(
                f"The checkpoint could not be written: {error}. "
                f"The last one is {kept[0] if kept else 'none'}; make room on "
                "the disk and start again."
            ) from error
        for old in self._find()[: -self.keep]:
            # Half-deleted, it must not look like a checkpoint.
            doomed = old.with_name(old.name.replace(PREFIX, PARTIAL))
            shutil.rmtree(old.rename(doomed))


def _is_writer():
    return backend.process_index() == 0


def _flush(path):
    """Waits until a file, or the entries of a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():
        # Windows opens no folders, and its file system logs its renames.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
