import math

import keras


def check_finite_loss(loss, step):
    """Raises a `RuntimeError` that names the step if a loss is not finite."""
    if not math.isfinite(loss):
        raise RuntimeError(
            f"The loss is not finite at step {step}: {loss}. Training was "
            "stopped. Usual causes: a learning rate that is too high or warms "
            "up too fast, images with NaN or infinite values, or own mask "
            "indices out of range. Lower the rates, check the images, and go "
            "on from the last checkpoint."
        )


class StopAtNonFiniteLoss(keras.callbacks.Callback):
    """Ends the training with an error at the first loss that is not finite.

    Unlike `keras.callbacks.TerminateOnNaN` it says at which step of the whole
    training, and what to do. `fit` adds it by itself.
    """

    # The check may run beside the next step: it touches the logs only.
    async_safe = True

    def on_train_begin(self, logs=None):
        self.step = int(self.model.optimizer.iterations)
        # Read here: reading `model` syncs its state, which must not happen
        # beside a step.
        self.steps_per_batch = self.model.steps_per_execution

    def on_train_batch_end(self, batch, logs=None):
        self.step += self.steps_per_batch
        if logs and "loss" in logs:
            check_finite_loss(float(logs["loss"]), self.step)
