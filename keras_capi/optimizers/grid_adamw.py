import keras
from keras import ops

from keras_capi.optimizers.learning_rates import as_rate
from keras_capi.optimizers.learning_rates import check_moments
from keras_capi.validation import check_each
from keras_capi.validation import check_non_negative


@keras.saving.register_keras_serializable(package="keras_capi")
class GridAdamW(keras.optimizers.Optimizer):
    """AdamW with rates and decays of its own for each entry of the first axis.

    To train many small models at once whose weights are stacked: one compiled
    step instead of a run for each pair of hyper-parameters. Biases, which are
    the variables whose names end in `bias`, do not decay.

    The update is that of `torch.optim.AdamW`, which adds epsilon to the root of
    the *corrected* second moment, where Keras adds it before the correction.

    Args:
        learning_rate: Float or schedule, common to all entries.
        learning_rate_multipliers: Sequence of floats, by which each entry
            multiplies it.
        weight_decays: Sequence of floats, as many.
        beta_1: Float. Defaults to `0.9`.
        beta_2: Float. Defaults to `0.95`.
        epsilon: Float. Defaults to `1e-8`.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If an argument is out of range, there are not as many
            multipliers as decays or, when it is built, not as many as a
            variable has entries.

    Example:

    >>> optimizer = keras_capi.optimizers.GridAdamW(
    ...     1.0, learning_rate_multipliers=(1e-3, 1e-2), weight_decays=(0, 0.1)
    ... )
    >>> kernels = keras.Variable(keras.random.normal((2, 16, 10)))
    >>> optimizer.build([kernels])

    Reference:

    - [AdamW](https://arxiv.org/abs/1711.05101), algorithm 2
    """

    def __init__(
        self,
        learning_rate,
        learning_rate_multipliers,
        weight_decays,
        beta_1=0.9,
        beta_2=0.95,
        epsilon=1e-8,
        **kwargs,
    ):
        super().__init__(as_rate("learning_rate", learning_rate), **kwargs)
        check_moments(beta_1, beta_2, epsilon)
        learning_rate_multipliers = check_each(
            "learning_rate_multipliers",
            learning_rate_multipliers,
            check_non_negative,
        )
        weight_decays = check_each(
            "weight_decays", weight_decays, check_non_negative
        )
        if len(learning_rate_multipliers) != len(weight_decays):
            raise ValueError(
                "`learning_rate_multipliers` and `weight_decays` must have the "
                "same length. Received: learning_rate_multipliers="
                f"{learning_rate_multipliers}, weight_decays={weight_decays}"
            )
        self.learning_rate_multipliers = [
            float(multiplier) for multiplier in learning_rate_multipliers
        ]
        self.weight_decays = [float(decay) for decay in weight_decays]
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables):
        count = len(self.weight_decays)
        for variable in variables:
            if tuple(variable.shape[:1]) != (count,):
                raise ValueError(
                    f"The first axis of each variable must have {count} "
                    "entries, one for each of `weight_decays`. Received: "
                    f"variable {variable.path} of shape {variable.shape}"
                )
        # Now, as an update sees the backend's variables, which have no path.
        self._decays = [
            [0.0] * count
            if variable.name.endswith("bias")
            else self.weight_decays
            for variable in variables
        ]
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        dtype = momentum.dtype

        def per_entry(values):
            shape = (-1,) + (1,) * (len(variable.shape) - 1)
            return ops.reshape(ops.convert_to_tensor(values, dtype), shape)

        gradient = ops.cast(gradient, dtype)
        rate = ops.cast(learning_rate, dtype) * per_entry(
            self.learning_rate_multipliers
        )
        step = ops.cast(self.iterations + 1, dtype)
        self.assign_add(momentum, (1 - self.beta_1) * (gradient - momentum))
        self.assign_add(
            velocity, (1 - self.beta_2) * (ops.square(gradient) - velocity)
        )
        mean = momentum / (1 - ops.power(self.beta_1, step))
        root = ops.sqrt(velocity / (1 - ops.power(self.beta_2, step)))
        decayed = per_entry(self._decays[index]) * variable
        self.assign_sub(
            variable, rate * (decayed + mean / (root + self.epsilon))
        )

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate_multipliers": self.learning_rate_multipliers,
            "weight_decays": self.weight_decays,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
