import math


class NonFiniteLossError(RuntimeError):
    """A loss was NaN or infinite.

    Args:
        message: String.
        batch: Integer. Index within the epoch of the batch with that loss, as
            Keras counts them for callbacks. Defaults to `None`, for a loss
            outside of `fit`.
    """

    def __init__(self, message, batch=None):
        super().__init__(message)
        self.batch = batch


def check_finite_loss(loss, step, batch=None):
    """Raises an error that names the step if a loss is not finite."""
    if not math.isfinite(loss):
        raise NonFiniteLossError(
            f"The loss is not finite at step {step}: {loss}. Training was "
            "stopped. Usual causes: a learning rate that is too high or warms "
            "up too fast, images with NaN or infinite values, or labels or "
            "mask indices out of range. Lower the rates, check the images, "
            "and resume from the last checkpoint.",
            batch,
        )
