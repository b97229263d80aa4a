"""Views and optimizer of methods that cluster crops: SwAV and DeepCluster."""

from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.methods.inputs.view_inputs import view_sizes
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.larc import LARC
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_positive_integer

# Ten of them warm up, and in the first one SwAV's prototypes are not trained.
PUBLISHED_EPOCHS = 800


def clustering_views(encoder, seed):
    """Returns the published views, in sizes that suit an encoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        seed: Integer or `None`.
    """
    return MultiCrop(
        *view_sizes(encoder),
        num_local_views=6,
        global_scale=(0.14, 1.0),
        local_scale=(0.05, 0.14),
        jitter=(0.8, 0.8, 0.8, 0.2),
        blur_rates=(0.5, 0.5, 0.5),
        solarize_rates=(0.0, 0.0, 0.0),
        interpolation="bilinear",
        seed=seed,
    )


def clustering_optimizer(
    total_steps, batch_size, learning_rate, frozen_steps, **overrides
):
    """Returns the optimizer of SwAV, see `SwAV.published_optimizer`.

    Args:
        total_steps: Integer. Updates of the whole training.
        batch_size: Integer. Images in a batch.
        learning_rate: Float or schedule, or `None` for the published one.
        frozen_steps: Integer. Updates that leave the prototypes as they are.
        **overrides: Other arguments of `keras_capi.optimizers.LARC`.
    """
    check_positive_integer("total_steps", total_steps)
    check_positive_integer("batch_size", batch_size)
    if learning_rate is None:
        learning_rate = 0.6 * (batch_size / 256) ** 0.75
    if not callable(learning_rate):
        learning_rate = WarmupCosine(
            learning_rate,
            total_steps,
            warmup_steps=total_steps * 10 // PUBLISHED_EPOCHS,
            start_value=learning_rate / 16,
            final_value=learning_rate / 1000,
            truncate=1.0,
        )
    return LARC(
        **{
            "learning_rate": learning_rate,
            "groups": {"prototypes": Group(frozen_steps=frozen_steps)},
            **overrides,
        }
    )
