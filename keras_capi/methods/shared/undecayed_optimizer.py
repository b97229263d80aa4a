"""The optimizer of methods whose encoder sees mask tokens."""

from keras_capi.methods.shared.falling_rate import falling_rate
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group


def undecayed_optimizer(total_steps, batch_size, learning_rate, **arguments):
    """Returns AdamW for the groups of `ReplacedPatches`.

    Args:
        total_steps: Integer. Updates of the whole training.
        batch_size: Integer. Images in a batch.
        learning_rate: Float, 1e-5 or more, or schedule. A float follows BEiT's
            schedule: a warm-up over the first eightieth of the steps, then a
            cosine down to 1e-5.
        **arguments: Other arguments of `keras_capi.optimizers.AdamW`.
    """
    check_training_size(total_steps, batch_size)
    if not callable(learning_rate):
        learning_rate = falling_rate(
            learning_rate,
            total_steps,
            final_value=1e-5,
            warmup_steps=total_steps // 80,
        )
    return AdamW(
        **{
            "learning_rate": learning_rate,
            "groups": {"undecayed": Group(weight_decay_multiplier=0.0)},
            **arguments,
        }
    )
