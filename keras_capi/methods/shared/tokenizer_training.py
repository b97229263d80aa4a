"""The training of DALL-E's tokenizer, in shares of its 1.2 million updates."""

import keras
from keras import ops

from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer

# Temperature of the soft draw, over the first 150,000 updates.
START_TEMPERATURE, END_TEMPERATURE = 1.0, 1 / 16
TEMPERATURE_SHARE = 1 / 8
# Weight of a patch's divergence relative to the sum over its values, after
# 5,000 updates.
UNIFORMITY_WEIGHT = 6.6
UNIFORMITY_SHARE = 1 / 240
# Share of the learning rate that remains at the end.
FINAL_SHARE = 1 / 80
# In the code of BEiT's authors, for any number of steps.
CONSTANT_TEMPERATURE = 0.9


def count_stages(patch_size):
    """Returns how often images are halved in size, or raises a `ValueError`.

    Args:
        patch_size: Integer, a power of two.
    """
    check_positive_integer("patch_size", patch_size)
    num_stages = int(patch_size).bit_length() - 1
    if patch_size != 2**num_stages or not num_stages:
        raise ValueError(
            "`patch_size` must be 2, 4, 8 or another power of two. Received: "
            f"patch_size={patch_size}"
        )
    return num_stages


def check_schedules(temperature, uniformity_weight):
    """Raises a `ValueError` unless both are a number, a schedule or `None`.

    Args:
        temperature: See `keras_capi.methods.DiscreteVAE`.
        uniformity_weight: The same.
    """
    if not (temperature is None or callable(temperature)):
        check_positive("temperature", temperature)
    if not (uniformity_weight is None or callable(uniformity_weight)):
        check_non_negative("uniformity_weight", uniformity_weight)


def scheduled_values(
    step, temperature, uniformity_weight, total_steps, values_per_patch
):
    """Returns both values at a step; the published ones replace `None`.

    Args:
        step: Integer, or scalar tensor.
        temperature: See `keras_capi.methods.DiscreteVAE`.
        uniformity_weight: The same.
        total_steps: Integer. Updates of the whole training, or `None` if
            unknown: then published values are constant.
        values_per_patch: Integer. Pixels of a patch times channels.

    Returns:
        Float32 tensor of shape `(2,)`.
    """
    if temperature is None:
        temperature = _published_temperature(total_steps)
    if uniformity_weight is None:
        uniformity_weight = _published_weight(total_steps, values_per_patch)
    return ops.stack(
        [
            ops.cast(value(step) if callable(value) else value, "float32")
            for value in (temperature, uniformity_weight)
        ]
    )


def _published_temperature(total_steps):
    if total_steps is None:
        return CONSTANT_TEMPERATURE
    return keras.optimizers.schedules.CosineDecay(
        START_TEMPERATURE,
        max(round(total_steps * TEMPERATURE_SHARE), 1),
        alpha=END_TEMPERATURE / START_TEMPERATURE,
    )


def _published_weight(total_steps, values_per_patch):
    if total_steps is None:
        return 0.0
    return keras.optimizers.schedules.PolynomialDecay(
        0.0,
        max(round(total_steps * UNIFORMITY_SHARE), 1),
        UNIFORMITY_WEIGHT / values_per_patch,
    )


def tokenizer_optimizer(total_steps, batch_size, learning_rate, **overrides):
    """Returns the optimizer, see `DiscreteVAE.published_optimizer`.

    Args:
        total_steps: Integer. Updates of the whole training.
        batch_size: Integer. Images in a batch.
        learning_rate: Float or schedule.
        **overrides: Other arguments of `keras_capi.optimizers.AdamW`.
    """
    check_training_size(total_steps, batch_size)
    if not callable(learning_rate):
        check_non_negative("learning_rate", learning_rate)
        learning_rate = WarmupCosine(
            learning_rate,
            total_steps,
            final_value=learning_rate * FINAL_SHARE,
            truncate=1.0,
        )
    return AdamW(learning_rate=learning_rate, **overrides)
