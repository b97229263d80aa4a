"""Targets and optimizer of methods that distil prototype scores."""

from keras_capi.fitting.schedule_settings import schedule_settings
from keras_capi.methods.shared.falling_rate import falling_rate
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.training.vectors import list_vectors
from keras_capi.validation import check_positive_integer

# The teacher's temperature before a schedule sets it.
FIRST_TEMPERATURE = 0.04


def start_of(temperature):
    """Returns the temperature before the first update.

    Args:
        temperature: Float, or a schedule whose values will be assigned.
    """
    return FIRST_TEMPERATURE if callable(temperature) else temperature


def rising_momentum(start, optimizer):
    """Returns the momentum of a teacher: a cosine to 1, or a constant.

    Args:
        start: Float. The momentum in the first update.
        optimizer: A Keras optimizer. Without a schedule that ends, the momentum
            stays as it is.
    """
    total_steps = schedule_settings(optimizer).get("total_steps")
    if total_steps is None:
        return start
    return WarmupCosine(start, total_steps, final_value=1.0, truncate=1.0)


def check_own_prototypes(num_patch_prototypes):
    """Raises a `ValueError` unless patches can have so many, or none.

    Args:
        num_patch_prototypes: Integer or `None`.
    """
    check_positive_integer(
        "num_patch_prototypes", num_patch_prototypes, or_none=True
    )


def another_head(head, num_patch_prototypes, width):
    """Returns a built head for patches, like that for images.

    Args:
        head: `keras_capi.layers.DINOHead`.
        num_patch_prototypes: Integer.
        width: Integer. Width of patch features.
    """
    config = head.get_config()
    config |= {"num_prototypes": num_patch_prototypes, "name": "patch_head"}
    patch_head = type(head).from_config(config)
    patch_head.build((None, width))
    return patch_head


def more_prototypes(head, number, shared):
    """Returns built prototypes for patches, beside a head's for images.

    Args:
        head: `keras_capi.layers.DINOHead`, built.
        number: Integer. How many to make.
        shared: Boolean. Whether the teacher uses one set of prototypes for
            both, so that there must be as many.
    """
    config = head.prototypes.get_config()
    if shared and number != config["num_prototypes"]:
        raise ValueError(
            "`num_patch_prototypes` must be `num_prototypes`, as the teacher "
            f"shares them. Received: num_patch_prototypes={number}, "
            f"num_prototypes={config['num_prototypes']}"
        )
    config |= {"num_prototypes": number, "name": "patch_prototypes"}
    prototypes = type(head.prototypes).from_config(config)
    prototypes.build((None, head.bottleneck_dim))
    return prototypes


def distillation_optimizer(
    total_steps,
    batch_size,
    learning_rate,
    weight_decay,
    frozen_steps,
    epochs,
    **overrides,
):
    """Returns the optimizer of DINO and iBOT, see `DINO.published_optimizer`.

    Args:
        total_steps: Integer. Updates of the whole training.
        batch_size: Integer. Images in a batch.
        learning_rate: Float or schedule, or `None` for the published one.
        weight_decay: The same.
        frozen_steps: Integer, or `None` for the first epoch.
        epochs: Integer. Epochs of the published training, ten of which warm up.
        **overrides: Other arguments of `keras_capi.optimizers.AdamW`.
    """
    check_training_size(total_steps, batch_size)
    if learning_rate is None:
        learning_rate = 5e-4 * batch_size / 256
    if not callable(learning_rate):
        learning_rate = falling_rate(
            learning_rate,
            total_steps,
            final_value=1e-6,
            warmup_steps=total_steps * 10 // epochs,
        )
    if weight_decay is None:
        weight_decay = WarmupCosine(
            0.04, total_steps, final_value=0.4, truncate=1.0
        )
    if frozen_steps is None:
        frozen_steps = total_steps // epochs
    return AdamW(
        **{
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "groups": {
                "vectors": Group(weight_decay_multiplier=0.0),
                "last_layer": Group(frozen_steps=frozen_steps),
            },
            **overrides,
        }
    )


def distillation_groups(variables, prototypes):
    """Returns the groups of parameters of `distillation_optimizer`.

    Args:
        variables: List of all trained variables.
        prototypes: Sequence of `keras_capi.layers.PrototypeHead`.
    """
    last_layer = [
        variable
        for layer in prototypes
        for variable in layer.trainable_variables
    ]
    # The gains decay, though they are stored as a vector.
    of_last_layer = {id(variable) for variable in last_layer}
    return {
        "vectors": [
            variable
            for variable in list_vectors(variables)
            if id(variable) not in of_last_layer
        ],
        "last_layer": last_layer,
    }
