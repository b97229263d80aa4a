"""The schedule of methods whose learning rate ends at a published value."""

from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_positive


def falling_rate(
    learning_rate, total_steps, final_value, start_share=0.0, **arguments
):
    """Returns a warm-up to a rate, followed by a cosine down to another.

    Args:
        learning_rate: Float, the rate after the warm-up.
        total_steps: Integer. Updates of the whole training.
        final_value: Float. Where the cosine ends, whatever the rate is.
        start_share: Float. The share of the rate that the warm-up starts from.
            Defaults to `0.0`.
        **arguments: Other arguments of `keras_capi.optimizers.WarmupCosine`.

    Raises:
        ValueError: If the rate is below the final value, so that it would rise.
    """
    check_positive("learning_rate", learning_rate)
    if learning_rate < final_value:
        raise ValueError(
            f"`learning_rate` must not be below {final_value}, where the "
            "published schedule ends, unless it is a schedule itself. "
            f"Received: learning_rate={learning_rate}"
        )
    return WarmupCosine(
        learning_rate,
        total_steps,
        start_value=start_share * learning_rate,
        final_value=final_value,
        truncate=1.0,
        **arguments,
    )
