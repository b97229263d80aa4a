import keras

from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import as_rate
from keras_capi.optimizers.former_state import read_former_state
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.warmup_cosine import WarmupCosine
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPIOptimizer(AdamW):
    """An `AdamW` with the groups of CAPI, made by `capi_optimizer`.

    It can read the files of former versions, which had one optimizer for each
    kind of weights.
    """

    @property
    def clustering_learning_rate(self):
        """The clustering's current learning rate."""
        return self.group_learning_rates["clustering"]

    @clustering_learning_rate.setter
    def clustering_learning_rate(self, value):
        self.set_group_learning_rate("clustering", value)

    @property
    def rotary_learning_rate_multiplier(self):
        """The multiplier of the rotary frequencies' learning rate."""
        return self.groups["rotary_frequencies"].learning_rate_multiplier

    def load_own_variables(self, store):
        has_accumulators = bool(self.gradient_accumulation_steps)
        former = read_former_state(store, self._group_names, has_accumulators)
        if former is None:
            super().load_own_variables(store)
            return
        # The learning rates, and before them the step count.
        for key in store.keys():
            self.variables[int(key)].assign(store[key])
        parts = [self._momentums, self._velocities]
        if has_accumulators:
            parts.append(self._accumulated_gradients)
        for values, variables in zip(
            former, zip(*parts, strict=True), strict=True
        ):
            for value, variable in zip(values, variables, strict=True):
                variable.assign(value)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if "groups" in config:
            return super().from_config(config, custom_objects)
        # Written by a former version, with the arguments of `capi_optimizer`.
        deserialize = keras.saving.deserialize_keras_object
        return capi_optimizer(
            **{
                name: deserialize(value, custom_objects=custom_objects)
                for name, value in config.items()
                if name != "name"
            }
        )


def capi_optimizer(
    learning_rate=1e-3,
    total_steps=None,
    warmup_steps=None,
    weight_decay=0.1,
    clustering_learning_rate=5e-4,
    clustering_weight_decay=0.01,
    patch_embedding_learning_rate_multiplier=0.2,
    rotary_learning_rate_multiplier=0.0,
    norm_weight_decay_multiplier=0.1,
    beta_1=0.9,
    beta_2=0.95,
    epsilon=1e-8,
    gradient_accumulation_steps=None,
):
    """Returns the published optimizer of CAPI.

    It is AdamW with separate learning rates for the student and the clustering,
    and exceptions for some kinds of weights: the patch embedding learns more
    slowly, rotary frequencies not at all, norm scales decay less and biases not
    at all. Biases of the clustering do decay.

    Learning rates that are plain numbers can be changed during training, by
    `optimizer.learning_rate = 1e-4` or by Keras's `LearningRateScheduler` and
    `ReduceLROnPlateau`; the rates of all weights change in proportion. Rates
    that follow a schedule cannot be changed.

    Args:
        learning_rate: Float or schedule: the student's learning rate. With
            `total_steps`, a float is the base value of the published schedule.
            Defaults to `1e-3`.
        total_steps: Integer or `None`. Number of updates to schedule for.
            `None` keeps floats constant. Defaults to `None`.
        warmup_steps: Integer or `None`. Updates of the linear warm-up; `None`
            is a tenth of `total_steps`. Defaults to `None`.
        weight_decay: Float. Defaults to `0.1`.
        clustering_learning_rate: Float or schedule, like `learning_rate`.
            Defaults to `5e-4`.
        clustering_weight_decay: Float. Defaults to `0.01`.
        patch_embedding_learning_rate_multiplier: Float. Defaults to `0.2`.
        rotary_learning_rate_multiplier: Float. Above 0 it trains the rotary
            frequencies. Defaults to `0.0`.
        norm_weight_decay_multiplier: Float. Defaults to `0.1`.
        beta_1: Float. Defaults to `0.9`.
        beta_2: Float. Defaults to `0.95`.
        epsilon: Float. Defaults to `1e-8`.
        gradient_accumulation_steps: Integer or `None`. Number of batches whose
            gradients are averaged for one update. Schedules count updates.
            Defaults to `None`.

    Returns:
        A `CAPIOptimizer`: an `AdamW` with the groups `"patch_embedding"`,
        `"biases"`, `"norms"`, `"rotary_frequencies"` and `"clustering"`.

    Example:

    >>> model.compile(keras_capi.optimizers.capi_optimizer(
    ...     learning_rate=1e-3, total_steps=100_000
    ... ))

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4.1, appendix A
    """
    learning_rate = as_rate("learning_rate", learning_rate)
    clustering_learning_rate = as_rate(
        "clustering_learning_rate", clustering_learning_rate
    )
    if total_steps is None and warmup_steps is not None:
        raise ValueError(
            "`warmup_steps` needs `total_steps`. Received: "
            f"warmup_steps={warmup_steps}, total_steps=None"
        )
    if total_steps is not None:
        check_positive_integer("total_steps", total_steps)
        if warmup_steps is None:
            warmup_steps = total_steps // 10
        learning_rate, clustering_learning_rate = (
            rate
            if callable(rate)
            else WarmupCosine(rate, total_steps, warmup_steps)
            for rate in (learning_rate, clustering_learning_rate)
        )
    multipliers = {
        "patch_embedding_learning_rate_multiplier": (
            patch_embedding_learning_rate_multiplier
        ),
        "rotary_learning_rate_multiplier": rotary_learning_rate_multiplier,
        "norm_weight_decay_multiplier": norm_weight_decay_multiplier,
        "clustering_weight_decay": clustering_weight_decay,
    }
    for argument, value in multipliers.items():
        check_non_negative(argument, value)
    return CAPIOptimizer(
        learning_rate,
        weight_decay,
        beta_1,
        beta_2,
        epsilon,
        groups={
            "patch_embedding": Group(
                learning_rate_multiplier=patch_embedding_learning_rate_multiplier
            ),
            "biases": Group(weight_decay_multiplier=0.0),
            "norms": Group(
                weight_decay_multiplier=norm_weight_decay_multiplier
            ),
            "rotary_frequencies": Group(
                learning_rate_multiplier=rotary_learning_rate_multiplier
            ),
            "clustering": Group(
                learning_rate=clustering_learning_rate,
                weight_decay=clustering_weight_decay,
            ),
        },
        gradient_accumulation_steps=gradient_accumulation_steps,
        name="capi_optimizer",
    )
