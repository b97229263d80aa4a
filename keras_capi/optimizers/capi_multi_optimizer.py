import keras
from keras import ops

from keras_capi.optimizers.learning_rates import AdamW
from keras_capi.optimizers.learning_rates import as_rate
from keras_capi.optimizers.learning_rates import check_accumulation
from keras_capi.optimizers.learning_rates import check_moments
from keras_capi.optimizers.learning_rates import check_settable
from keras_capi.validation import check_non_negative

# Patterns of variable paths (`re.fullmatch`); each variable may match one only.
PATCH_KERNEL = r".*patch_embedding/kernel"
PATCH_BIAS = r".*patch_embedding/bias"
ROTARY = r".*rotary_frequencies"
NORM = r".*norm/scale"
CLUSTERING = r".*cluster_(?:kernel|bias)"
BIAS = r"(?!.*(?:patch_embedding/|cluster_)).*bias"


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPIOptimizer(keras.optimizers.MultiOptimizer):
    """Routes each variable to an AdamW with its rate and decay.

    See `capi_optimizer` for the arguments. Rates are floats, which can be set
    during training, or schedules of the number of updates, `iterations`.
    Setting `learning_rate` moves the clustering's in proportion, and so do
    callbacks such as `keras.callbacks.ReduceLROnPlateau`.
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
        patch_multiplier = patch_embedding_learning_rate_multiplier
        hyperparameters = {
            "weight_decay": weight_decay,
            "clustering_weight_decay": clustering_weight_decay,
            "patch_embedding_learning_rate_multiplier": patch_multiplier,
            "rotary_learning_rate_multiplier": rotary_learning_rate_multiplier,
            "norm_weight_decay_multiplier": norm_weight_decay_multiplier,
        }
        for argument, value in hyperparameters.items():
            check_non_negative(argument, value)
        check_moments(beta_1, beta_2, epsilon)
        check_accumulation(gradient_accumulation_steps)

        def adamw(
            weight_decay, multiplier=1.0, rate="learning_rate", setter=None
        ):
            return AdamW(
                lambda: self._current_rate(rate) * multiplier,
                setter,
                weight_decay=weight_decay,
                beta_1=beta_1,
                beta_2=beta_2,
                epsilon=epsilon,
                gradient_accumulation_steps=gradient_accumulation_steps,
            )

        norm_weight_decay = weight_decay * norm_weight_decay_multiplier
        super().__init__(
            keras.optimizers.OptimizerMap(
                adamw(weight_decay, setter=self._set_learning_rate),
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
            **hyperparameters,
            "beta_1": beta_1,
            "beta_2": beta_2,
            "epsilon": epsilon,
            "gradient_accumulation_steps": gradient_accumulation_steps,
        }
        self.rotary_learning_rate_multiplier = rotary_learning_rate_multiplier
        self._rates = None
        self._clustering_learning_rate = as_rate(
            "clustering_learning_rate", clustering_learning_rate
        )
        self._clustering_share = None
        # The base class has made a variable for one rate, but not for another.
        self.learning_rate = learning_rate
        if not callable(clustering_learning_rate):
            self._clustering_learning_rate = self.add_variable(
                (),
                keras.initializers.Constant(clustering_learning_rate),
                name="clustering_learning_rate",
            )
            self._set_clustering_share()

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
        value = as_rate("learning_rate", value)
        if not callable(value):
            check_settable("learning_rate", self._learning_rate, value)
        keras.optimizers.Optimizer.learning_rate.fset(self, value)
        if self._clustering_share is not None and not callable(value):
            self._clustering_learning_rate.assign(
                value * self._clustering_share
            )

    @property
    def clustering_learning_rate(self):
        """The clustering's current learning rate."""
        return self._evaluate(self._clustering_learning_rate)

    @clustering_learning_rate.setter
    def clustering_learning_rate(self, value):
        value = as_rate("clustering_learning_rate", value)
        check_settable(
            "clustering_learning_rate", self._clustering_learning_rate, value
        )
        self._clustering_learning_rate.assign(value)
        self._set_clustering_share()

    def _set_clustering_share(self):
        """Remembers the ratio of the rates, which may become 0 for a time."""
        self._clustering_share = None
        if isinstance(self._learning_rate, keras.Variable):
            rates = (self.clustering_learning_rate, self.learning_rate)
            clustering, student = (
                float(ops.convert_to_numpy(rate)) for rate in rates
            )
            self._clustering_share = clustering / student if student else None

    def _set_learning_rate(self, value):
        self.learning_rate = value

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


def _serialize(rate):
    if isinstance(rate, keras.Variable):
        return float(ops.convert_to_numpy(ops.convert_to_tensor(rate)))
    return keras.saving.serialize_keras_object(rate)
