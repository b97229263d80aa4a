import keras

from keras_capi.fitting.inner_optimizer import inner_optimizer

CALLBACKS = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)


def check_rate_callbacks(model, callbacks):
    """Raises a `ValueError` if a callback would set a scheduled learning rate.

    Checked at the start, because `ReduceLROnPlateau` may do so hours later.

    Args:
        model: A `keras.Model`.
        callbacks: What `fit` takes: a callback, a list of them, or a
            `keras.callbacks.CallbackList`.
    """
    callbacks = getattr(callbacks, "callbacks", callbacks)
    names = [
        type(callback).__name__
        for callback in keras.tree.flatten(callbacks)
        if isinstance(callback, CALLBACKS)
    ]
    optimizer = inner_optimizer(getattr(model, "optimizer", None))
    if not names or optimizer is None:
        return
    if isinstance(optimizer.get_config().get("learning_rate"), dict):
        raise ValueError(
            f"`{names[0]}` sets the learning rate, but the optimizer's "
            "follows a schedule: leave out the callback, or make the optimizer "
            "with a plain number as rate (`capi_optimizer` without "
            f"`total_steps`). Received: callbacks={names}"
        )
