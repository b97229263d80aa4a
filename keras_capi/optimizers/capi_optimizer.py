import keras
from keras import ops

from keras_capi.optimizers.warmup_cosine import WarmupCosine

# Patterns of variable paths (`re.fullmatch`); each variable may match one only.
PATCH_KERNEL = r".*patch_embedding/kernel"
PATCH_BIAS = r".*patch_embedding/bias"
ROTARY = r".*rotary_frequencies"
NORM = r".*norm/scale"
CLUSTERING = r".*cluster_(?:kernel|bias)"
BIAS = r"(?!.*(?:patch_embedding/|cluster_)).*bias"


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

    One AdamW for the student and one for the clustering, with rates of their
    own, and exceptions for some kinds of weights: patch embeddings learn more
    slowly, rotary frequencies not at all, norm scales decay less and biases not
    at all. Biases of the clustering do decay.

    Args:
        learning_rate: Float or schedule: the student's learning rate. With
            `total_steps`, a float is the base value of the published schedule.
            Defaults to `1e-3`.
        total_steps: Integer or `None`. Number of updates to schedule for.
            `None` keeps floats constant. Defaults to `None`.
        warmup_steps: Integer or `None`. Updates of linear warm-up; `None` is a
            tenth of `total_steps`. Defaults to `None`.
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
        gradient_accumulation_steps: Integer or `None`. Batches whose gradients
            are averaged for one update. Schedules count updates. Defaults to
            `None`.

    Returns:
        A `CAPIOptimizer`.

    Example:

    >>> model.compile(keras_capi.optimizers.capi_optimizer(
    ...     learning_rate=1e-3, total_steps=100_000
    ... ))

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4.1, appendix A
    """
    if total_steps is None and warmup_steps is not None:
        raise ValueError(
            "`warmup_steps` needs `total_steps`. Received: "
            f"warmup_steps={warmup_steps}, total_steps=None"
        )
    if total_steps is not None:
        if warmup_steps is None:
            warmup_steps = total_steps // 10
        learning_rate, clustering_learning_rate = (
            rate
            if callable(rate)
            else WarmupCosine(rate, total_steps, warmup_steps)
            for rate in (learning_rate, clustering_learning_rate)
        )
    return CAPIOptimizer(
        learning_rate,
        weight_decay,
        clustering_learning_rate,
        clustering_weight_decay,
        patch_embedding_learning_rate_multiplier,
        rotary_learning_rate_multiplier,
        norm_weight_decay_multiplier,
        beta_1,
        beta_2,
        epsilon,
        gradient_accumulation_steps,
    )


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPIOptimizer(keras.optimizers.MultiOptimizer):
    """Routes each variable to an AdamW with its rate and decay.

    See `capi_optimizer` for the arguments. Rates are floats, which can be set
    during training, or schedules of the number of updates, `iterations`.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay,
        clustering_learning_rate,
        clustering_weight_decay,
        patch_embedding_learning_rate_multiplier,
        rotary_learning_rate_multiplier,
        norm_weight_decay_multiplier,
        beta_1,
        beta_2,
        epsilon,
        gradient_accumulation_steps=None,
        name="capi_optimizer",
    ):
        def adamw(weight_decay, multiplier=1.0, rate="learning_rate"):
            return keras.optimizers.AdamW(
                lambda: self._current_rate(rate) * multiplier,
                weight_decay=weight_decay,
                beta_1=beta_1,
                beta_2=beta_2,
                epsilon=epsilon,
                gradient_accumulation_steps=gradient_accumulation_steps,
            )

        patch_multiplier = patch_embedding_learning_rate_multiplier
        norm_weight_decay = weight_decay * norm_weight_decay_multiplier
        super().__init__(
            keras.optimizers.OptimizerMap(
                adamw(weight_decay),
                {
                    PATCH_KERNEL: adamw(weight_decay, patch_multiplier),
                    PATCH_BIAS: adamw(0.0, patch_multiplier),
                    ROTARY: adamw(
                        weight_decay, rotary_learning_rate_multiplier
                    ),
                    NORM: adamw(norm_weight_decay),
                    BIAS: adamw(0.0),
                    CLUSTERING: adamw(
                        clustering_weight_decay, rate="clustering_learning_rate"
                    ),
                },
            ),
            name=name,
        )
        self._hyperparameters = {
            "weight_decay": weight_decay,
            "clustering_weight_decay": clustering_weight_decay,
            "patch_embedding_learning_rate_multiplier": patch_multiplier,
            "rotary_learning_rate_multiplier": rotary_learning_rate_multiplier,
            "norm_weight_decay_multiplier": norm_weight_decay_multiplier,
            "beta_1": beta_1,
            "beta_2": beta_2,
            "epsilon": epsilon,
            "gradient_accumulation_steps": gradient_accumulation_steps,
        }
        self.rotary_learning_rate_multiplier = rotary_learning_rate_multiplier
        self._rates = None
        # The base class has made a variable for one rate, but not for another.
        self.learning_rate = _as_rate("learning_rate", learning_rate)
        self._clustering_learning_rate = _as_rate(
            "clustering_learning_rate", clustering_learning_rate
        )
        if not callable(clustering_learning_rate):
            self._clustering_learning_rate = self.add_variable(
                (),
                keras.initializers.Constant(clustering_learning_rate),
                name="clustering_learning_rate",
            )

    @property
    def iterations(self):
        """The number of updates: with accumulation, fewer than batches."""
        steps = self._hyperparameters["gradient_accumulation_steps"]
        if steps:
            return ops.floor_divide(self._iterations, steps)
        return self._iterations

    @property
    def learning_rate(self):
        """The student's current learning rate."""
        return self._evaluate(self._learning_rate)

    @learning_rate.setter
    def learning_rate(self, value):
        keras.optimizers.Optimizer.learning_rate.fset(self, value)

    @property
    def clustering_learning_rate(self):
        """The clustering's current learning rate."""
        return self._evaluate(self._clustering_learning_rate)

    def _evaluate(self, rate):
        if isinstance(rate, keras.Variable):
            return rate
        return rate(self.iterations)

    def _current_rate(self, name):
        if self._rates is None:
            return getattr(self, name)
        return self._rates[name]

    def apply(self, grads, trainable_variables=None):
        # AdamW asks for its rate once for every variable.
        self._rates = {
            name: ops.convert_to_tensor(getattr(self, name))
            for name in ("learning_rate", "clustering_learning_rate")
        }
        self._set_epsilon(self._published_epsilon())
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._rates = None
            self._set_epsilon(self._hyperparameters["epsilon"])

    def _published_epsilon(self):
        """Returns what Keras must add for the published update.

        That adds epsilon to the root of the *corrected* second moment, Keras
        adds it before the correction. The difference matters to weights with
        gradients as small as epsilon, such as those of rarely used clusters.
        """
        step = ops.cast(self.iterations + 1, "float32")
        correction = 1.0 - ops.power(self._hyperparameters["beta_2"], step)
        return self._hyperparameters["epsilon"] * ops.sqrt(correction)

    def _set_epsilon(self, epsilon):
        for optimizer in self.optimizers:
            optimizer.epsilon = epsilon

    def save_own_variables(self, store):
        # Keras saves the inner optimizers by itself, and would do so twice.
        for index, variable in enumerate(self._variables):
            store[str(index)] = ops.convert_to_numpy(variable.value)

    def load_own_variables(self, store):
        for index, variable in enumerate(self._variables):
            variable.assign(store[str(index)])

    def get_config(self):
        return {
            "learning_rate": _serialize(self._learning_rate),
            "clustering_learning_rate": _serialize(
                self._clustering_learning_rate
            ),
            **self._hyperparameters,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        deserialize = keras.saving.deserialize_keras_object
        return cls(
            **{
                name: deserialize(value, custom_objects=custom_objects)
                if isinstance(value, dict)
                else value
                for name, value in config.items()
            }
        )


def _as_rate(name, rate):
    if callable(rate):
        return rate
    if not rate >= 0:
        raise ValueError(
            f"`{name}` must be a schedule or at least 0. "
            f"Received: {name}={rate}"
        )
    return float(rate)


def _serialize(rate):
    if isinstance(rate, keras.Variable):
        return float(ops.convert_to_numpy(ops.convert_to_tensor(rate)))
    return keras.saving.serialize_keras_object(rate)
