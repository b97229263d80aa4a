"""Going on with an interrupted training."""

import keras

from keras_capi.models.non_finite_loss import StopAtNonFiniteLoss


def fit_from_checkpoint(model, fit, epochs, callbacks):
    """Runs Keras's `fit` from the newest checkpoint on, if there is one.

    Args:
        model: The model.
        fit: The bound `fit` of `keras.Model`, with its other arguments.
        epochs: Integer.
        callbacks: What `fit` takes. One like `keras_capi.callbacks.Checkpoint`
            has a method `restore(model)`, which puts the model and the data
            back and returns the epoch and the batch to go on with, and a method
            `release()`, which is called however the training ends.

    Returns:
        What `fit` returns.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return fit(epochs=epochs, callbacks=callbacks)
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    callbacks = [*(callbacks or ()), StopAtNonFiniteLoss()]
    checkpoint = next((c for c in callbacks if hasattr(c, "restore")), None)
    if checkpoint is None:
        return fit(epochs=epochs, callbacks=callbacks)
    # In order, or nothing says which batches come next.
    options = {"callbacks": callbacks, "shuffle": False}
    try:
        epoch, batch = checkpoint.restore(model)
        if batch:
            # Keras takes all epochs for as long as the first: the rest of the
            # interrupted one needs a `fit` of its own.
            fit(epochs=epoch + 1, initial_epoch=epoch, **options)
            epoch += 1
        return fit(epochs=epochs, initial_epoch=epoch, **options)
    finally:
        checkpoint.release()
