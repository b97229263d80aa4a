"""The schedule of autoregressive methods."""

from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_non_negative_integer


def warmup_from_zero(learning_rate, total_steps, warmup_steps):
    """Returns a linear warm-up from 0 before the first step, then a cosine.

    The rate of step `i` of the warm-up is `(i + 1) / warmup_steps` of the full
    rate, so that the first step already has an effect.

    Args:
        learning_rate: Float, the rate after the warm-up.
        total_steps: Integer. Updates of the whole training.
        warmup_steps: Integer. Length of the warm-up.
    """
    check_non_negative("learning_rate", learning_rate)
    check_non_negative_integer("warmup_steps", warmup_steps)
    return WarmupCosine(
        learning_rate,
        total_steps,
        warmup_steps,
        start_value=learning_rate / max(warmup_steps, 1),
        truncate=1.0,
    )
