import dataclasses

import keras

from keras_capi.validation import check_choice
from keras_capi.validation import check_each
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_non_negative_integer

FREEZES = ("gradient", "rate")


@keras.saving.register_keras_serializable(package="keras_capi")
@dataclasses.dataclass(frozen=True)
class Group:
    """How `keras_capi.optimizers.AdamW` treats some variables differently.

    The optimizer knows groups by name; the model decides which variables are in
    them. A variable may be in several groups: their multipliers are multiplied.

    A multiplier that is a sequence has one entry for each index along the first
    axis of the group's variables. This trains many small models at once, with
    stacked weights.

    Args:
        learning_rate_multiplier: Float or sequence of floats. Factor of the
            learning rate. Defaults to `1.0`.
        weight_decay_multiplier: Float or sequence of floats. Factor of the
            weight decay; 0 turns it off. Defaults to `1.0`.
        learning_rate: Float, schedule or `None`. The group's own learning rate,
            which replaces the optimizer's; multipliers still apply. Defaults to
            `None`.
        weight_decay: Float, schedule or `None`. The group's own weight decay,
            which replaces the optimizer's. Defaults to `None`.
        frozen_steps: Integer. Number of updates at the start that do not change
            the variables. Defaults to `0`.
        freeze: String. How they are frozen: `"gradient"` drops the gradients,
            so that the moments stay zero and the variables' step count starts
            later (DINO, iBOT); `"rate"` sets the learning rate to zero, while
            moments and step count continue (DINOv2). Defaults to `"gradient"`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> biases = keras_capi.optimizers.Group(weight_decay_multiplier=0.0)
    >>> last_layer = keras_capi.optimizers.Group(frozen_steps=1250)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), appendix (frozen last layer)
    """

    learning_rate_multiplier: object = 1.0
    weight_decay_multiplier: object = 1.0
    learning_rate: object = None
    weight_decay: object = None
    frozen_steps: int = 0
    freeze: str = "gradient"

    def __post_init__(self):
        for name in ("learning_rate_multiplier", "weight_decay_multiplier"):
            multiplier = _check_multiplier(name, getattr(self, name))
            # The only way in a frozen data class.
            object.__setattr__(self, name, multiplier)
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                check_non_negative(name, value)
        check_non_negative_integer("frozen_steps", self.frozen_steps)
        check_choice("freeze", self.freeze, FREEZES)

    def get_config(self):
        return {
            field.name: keras.saving.serialize_keras_object(
                getattr(self, field.name)
            )
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        deserialize = keras.saving.deserialize_keras_object
        return cls(
            **{
                name: deserialize(value, custom_objects=custom_objects)
                for name, value in config.items()
            }
        )


def _check_multiplier(name, value):
    if hasattr(value, "__len__") and not isinstance(value, str):
        return tuple(
            float(x) for x in check_each(name, value, check_non_negative)
        )
    check_non_negative(name, value)
    return float(value)
