import math

import keras


class NonFiniteLossError(RuntimeError):
    """A loss was NaN or infinite."""


def check_finite_loss(loss, step):
    """Raises an error that names the step if a loss is not finite."""
    if not math.isfinite(loss):
        raise NonFiniteLossError(
            f"The loss is not finite at step {step}: {loss}. Training was "
            "stopped. Usual causes: a learning rate that is too high or warms "
            "up too fast, images with NaN or infinite values, or own mask "
            "indices out of range. Lower the rates, check the images, and go "
            "on from the last checkpoint."
        )


class StopAtNonFiniteLoss(keras.callbacks.Callback):
    """Ends the training with an error at the first loss that is not finite.

    Unlike `keras.callbacks.TerminateOnNaN` it says at which step, counted from
    the start of this `fit`, and what to do. `fit` adds it by itself.
    """

    # The checks may run beside the next steps, in any order: they touch the
    # logs only, and must not read `model`, which would sync its state.
    async_safe = True

    def on_train_begin(self, logs=None):
        self.num_steps = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.first_step = self.num_steps

    def on_train_batch_end(self, batch, logs=None):
        step = self.first_step + batch + 1
        self.num_steps = max(self.num_steps, step)
        if logs and "loss" in logs:
            check_finite_loss(float(logs["loss"]), step)
