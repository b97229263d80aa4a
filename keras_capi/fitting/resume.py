"""Resuming an interrupted training."""

import functools

import keras

from keras_capi import backend
from keras_capi.fitting.epoch_history import EpochHistory
from keras_capi.fitting.history_file import drop_repeated_rows
from keras_capi.fitting.joined_history import JoinedHistory
from keras_capi.fitting.non_finite_loss import NonFiniteLossError
from keras_capi.fitting.training_hints import TrainingHints


def fit_from_checkpoint(model, fit, epochs, callbacks, batch_size=None):
    """Runs Keras's `fit`, from the newest checkpoint if there is one.

    Args:
        model: The model.
        fit: The bound `fit` of `keras.Model`, with its other arguments: `x`,
            `y` and `batch_size` by position, the rest by name.
        epochs: Integer.
        callbacks: The callbacks given to `fit`. A callback like
            `keras_capi.callbacks.Checkpoint` has three methods: `restore(model,
            x, y, batch_size)` restores model and data, and returns the epoch
            and the batch to continue with; `skip(model, batch)` does so after a
            batch whose loss is not finite, or returns `None`; `release()` is
            called however the training ends.
        batch_size: Integer, or `None` if it is not known. Defaults to `None`.

    Returns:
        The `EpochHistory` of this run only, and of all of it.

    Raises:
        ValueError: If there is such a callback together with `steps_per_epoch`,
            or more than one of them.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    callbacks = [*(callbacks or ()), TrainingHints(epochs, batch_size)]
    checkpoints = [c for c in callbacks if hasattr(c, "restore")]
    if not checkpoints or not model.compiled:
        return fit(epochs=epochs, callbacks=[*callbacks, EpochHistory()])
    if len(checkpoints) > 1:
        raise ValueError(
            "A training must have one `Checkpoint`. "
            f"Received: {len(checkpoints)}"
        )
    steps = fit.keywords.get("steps_per_epoch")
    if steps is not None:
        raise ValueError(
            "A training with a checkpoint must use its whole data set in each "
            "epoch, to know where to resume: leave out `steps_per_epoch`, and "
            "choose the number of batches in the data set. "
            f"Received: steps_per_epoch={steps}"
        )
    (checkpoint,) = checkpoints
    history = JoinedHistory(callbacks)
    fit = functools.partial(fit, callbacks=[*callbacks, history])
    if fit.args[1] is None:
        # In order; otherwise it is unknown which batches come next. Labelled
        # images may be sorted, and must then be shuffled.
        fit = functools.partial(fit, shuffle=False)
    try:
        position = checkpoint.restore(model, *fit.args)
        _announce(epochs, *position)
        drop_repeated_rows(callbacks, position[0], is_new=position == (0, 0))
        while True:
            try:
                return _fit_from(fit, epochs, *position)
            except NonFiniteLossError as error:
                position = checkpoint.skip(model, error.batch)
                if position is None:
                    raise
    finally:
        checkpoint.release()
        history.release()


def _announce(epochs, epoch, batch):
    if backend.process_index() != 0:
        return
    if epoch >= epochs:
        print(
            f"Already finished: epoch {epoch}. Set `epochs` above {epochs} to "
            "train on.",
            flush=True,
        )
    elif (epoch, batch) != (0, 0):
        print(f"Resuming from epoch {epoch + 1}, batch {batch}.", flush=True)


def _fit_from(fit, epochs, epoch, batch):
    if (epoch, batch) == (0, 0):
        return fit(epochs=epochs)
    if not batch or epoch >= epochs:
        return fit(epochs=epochs, initial_epoch=epoch)
    # Keras assumes that all epochs are as long as the first, so the rest of the
    # interrupted one needs its own `fit`.
    history = fit(epochs=epoch + 1, initial_epoch=epoch)
    if history.model.stop_training:
        return history
    return fit(epochs=epochs, initial_epoch=epoch + 1)
