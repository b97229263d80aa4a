import itertools

import keras
from keras import ops

from keras_capi import backend
from keras_capi.training.built_part import built_part
from keras_capi.validation import check_number

# A teacher is only used for inference, without randomness.
WITHOUT_CHANCE = {"drop_path_rate": 0.0, "attention_dropout_rate": 0.0}
CONFIG_RULE = (
    "A part that a teacher copies must have a `get_config` that returns all "
    "arguments of its constructor, which takes `name` and passes on "
    "`**kwargs`: the copy is made by `from_config`"
)


class MovingAverage:
    """Keeps slowly following copies of a model's parts, as a teacher.

    The weights of the copies are exponential moving averages of the trained
    weights: they become `momentum * average + (1 - momentum) * weight` after
    each update of the optimizer. A skipped step, or a momentum of 1, leaves
    them unchanged.

    Args:
        ema_momentum: Float in `[0, 1]`, or a schedule such as
            `keras_capi.optimizers.WarmupCosine`, which advances with each
            update. The higher, the slower the copies follow. Defaults to
            `0.999`.

    Example:

    >>> average = keras_capi.training.MovingAverage(0.5)
    >>> head = keras_capi.layers.PrototypeHead(10)
    >>> head.build((None, 16))
    >>> teacher_head = average.follow(head, name="teacher_head")

    Reference:

    - [Mean teacher](https://arxiv.org/abs/1703.01780)
    """

    def __init__(self, ema_momentum=0.999):
        if not callable(ema_momentum):
            check_number("ema_momentum", ema_momentum, "[0, 1]")
        self.momentum = ema_momentum
        self.pairs = ()

    def follow(self, part, name, **overrides):
        """Returns a frozen copy of a layer or model that `move` updates.

        The copy has no stochastic depth and no attention dropout.

        Args:
            part: A built layer or model.
            name: String. The name of the copy.
            **overrides: Other changes to its configuration, for entries that it
                has.

        Raises:
            ValueError: If the part cannot be made again from its configuration.
        """
        overrides = {**WITHOUT_CHANCE, **overrides}
        average = _made_again(part, name, overrides)
        if not average.built:
            config = part.get_build_config()
            if type(part).build is keras.Layer.build:
                built_part("part", average, config["input_shape"])
            else:
                average.build_from_config(config)
        _check_alike(part, average)
        average.trainable = False
        copy_weights(part, average)
        self.pairs = (*self.pairs, (part, average))
        return average

    def move(self, step, applied):
        """Moves the copies towards their originals; call it in `after_update`.

        Args:
            step: Integer scalar tensor. Number of updates before this one.
            applied: Boolean scalar tensor. Whether the optimizer applied the
                update.

        Returns:
            Dictionary with `"ema_momentum"`, to log.
        """
        pairs = []
        for part, average in self.pairs:
            # Read once, as Keras makes a new list each time.
            weights, averages = part.weights, average.weights
            if len(weights) != len(averages):
                raise ValueError(
                    "Parts with a moving average must keep their weights: "
                    "`enable_lora` is for fine-tuning. Received: "
                    f"{part.name!r} with {len(weights)} weights, "
                    f"{len(averages)} of them followed"
                )
            pairs += zip(averages, weights, strict=True)
        momentum = self.momentum
        if callable(momentum):
            momentum = momentum(step)
        momentum = ops.convert_to_tensor(momentum, "float32")
        backend.move_average(*zip(*pairs, strict=True), momentum, applied)
        return {"ema_momentum": momentum}

    def check_frozen(self):
        """Raises a `ValueError` if a copy has trainable weights.

        A head of `keras_capi.tasks` on a copy unfreezes it, and optimizers
        would then decay its weights.
        """
        for _, average in self.pairs:
            if average.trainable:
                raise ValueError(
                    "A teacher must be frozen while a method trains: set its "
                    "`trainable = False`, and fine-tune a copy, such as that "
                    "of `save_to_preset` and `from_preset`. Received: "
                    f"{average.name!r} with {len(average.trainable_variables)} "
                    "weights that train"
                )


def _made_again(part, name, overrides):
    try:
        config = {**part.get_config(), "name": name}
        config.update((k, v) for k, v in overrides.items() if k in config)
        config.pop("trainable_parts", None)
        return type(part).from_config(config)
    # A user's class may raise anything.
    except Exception as error:
        raise ValueError(
            f"{CONFIG_RULE}. Received: {type(part).__name__}, which raises the "
            "error above"
        ) from error


def _check_alike(part, average):
    shapes = (
        [tuple(weight.shape) for weight in x.weights] for x in (part, average)
    )
    for shape, copied in itertools.zip_longest(*shapes):
        if shape != copied:
            raise ValueError(
                f"{CONFIG_RULE}. Received: {type(part).__name__}, which has a "
                f"weight of shape {shape} where its copy has {copied}"
            )


def check_teachers(model):
    """Calls `check_frozen` of each `MovingAverage` that a model keeps.

    Before a training, not in `compile`, as a file of such a model must load.
    """
    for part in vars(model).values():
        if isinstance(part, MovingAverage):
            part.check_frozen()


def copy_weights(source, target):
    """Copies the weights of a layer to another of the same architecture."""
    for from_weight, to_weight in zip(
        source.weights, target.weights, strict=True
    ):
        # Copied: JAX refuses to donate one buffer twice.
        to_weight.assign(ops.copy(from_weight.value))
