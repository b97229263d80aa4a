"""The schedule of methods whose learning rate ends at 0."""

from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_non_negative


def mae_schedule(learning_rate, total_steps, warmup_steps):
    """Returns a linear warm-up from 0, followed by a cosine down to 0.

    The first step has no effect, and the one after the warm-up has the full
    rate.

    Args:
        learning_rate: Float, the rate after the warm-up.
        total_steps: Integer. Updates of the whole training.
        warmup_steps: Integer. Length of the warm-up.
    """
    check_non_negative("learning_rate", learning_rate)
    return WarmupCosine(
        learning_rate,
        total_steps,
        warmup_steps,
        truncate=1.0,
        warmup_endpoint=False,
    )
