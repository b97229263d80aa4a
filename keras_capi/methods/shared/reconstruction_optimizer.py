"""The optimizer of methods that reconstruct images."""

from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_positive_integer


def reconstruction_optimizer(
    total_steps, batch_size, learning_rate, **overrides
):
    """Returns the optimizer of MAE, see `MAE.published_optimizer`.

    Args:
        total_steps: Integer. Updates of the whole training.
        batch_size: Integer. Images in a batch.
        learning_rate: Float or schedule, or `None` for the published one.
        **overrides: Other arguments of `keras_capi.optimizers.AdamW`.
    """
    check_positive_integer("total_steps", total_steps)
    check_positive_integer("batch_size", batch_size)
    if learning_rate is None:
        learning_rate = 1.5e-4 * batch_size / 256
    if not callable(learning_rate):
        learning_rate = WarmupCosine(
            learning_rate,
            total_steps,
            warmup_steps=total_steps // 20,
            truncate=1.0,
            warmup_endpoint=False,
        )
    return AdamW(
        **{
            "learning_rate": learning_rate,
            "groups": {"vectors": Group(weight_decay_multiplier=0.0)},
            **overrides,
        }
    )
