"""Schedules as files describe them."""

import keras_capi


def warmup_cosine(base_value, total_steps, warmup_steps=0, **arguments):
    """Returns a `WarmupCosine`, of which the warm-up may be all.

    Of a cosine that no step comes to, the length does not matter.

    Args:
        base_value: Float.
        total_steps: Integer. Steps of the training.
        warmup_steps: Integer. Defaults to `0`.
        **arguments: See `keras_capi.optimizers.WarmupCosine`. All of the cosine
            is used, unless `truncate` is there.
    """
    return keras_capi.optimizers.WarmupCosine(
        base_value,
        max(total_steps, warmup_steps + 1),
        warmup_steps,
        **{"truncate": 1.0, **arguments},
    )
