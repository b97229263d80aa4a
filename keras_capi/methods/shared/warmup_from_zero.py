"""The schedule of methods that predict what comes next."""

from keras_capi.optimizers.warmup_cosine import WarmupCosine


def warmup_from_zero(learning_rate, total_steps, warmup_steps):
    """Returns a warm-up that is 0 in the step before the first, then a cosine.

    The rate of step `i` of the warm-up is `(i + 1) / warmup_steps` of the
    whole, so that the first step does something already.

    Args:
        learning_rate: Float, the rate after the warm-up.
        total_steps: Integer. Updates of the whole training.
        warmup_steps: Integer. Those that warm up.
    """
    return WarmupCosine(
        learning_rate,
        total_steps,
        warmup_steps,
        start_value=learning_rate / max(warmup_steps, 1),
        truncate=1.0,
    )
