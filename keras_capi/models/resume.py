"""Going on with an interrupted training."""


def fit_from_checkpoint(model, fit, epochs, callbacks):
    """Runs Keras's `fit` from the newest checkpoint on, if there is one.

    Args:
        model: The model.
        fit: The bound `fit` of `keras.Model`, with its other arguments.
        epochs: Integer.
        callbacks: List of callbacks. One with a method `restore(model)` puts
            the model and the data back, and returns the epoch and the batch
            to go on with.

    Returns:
        What `fit` returns.
    """
    kwargs = {"callbacks": callbacks}
    for callback in callbacks:
        if not hasattr(callback, "restore"):
            continue
        epoch, batch = callback.restore(model)
        # In order, or nothing says which batches come next.
        kwargs["shuffle"] = False
        if batch:
            # Keras takes all epochs for as long as the first: the rest of the
            # interrupted one needs a `fit` of its own.
            fit(epochs=epoch + 1, initial_epoch=epoch, **kwargs)
            epoch += 1
        kwargs["initial_epoch"] = epoch
    return fit(epochs=epochs, **kwargs)
