import keras
from keras import ops

from keras_capi.optimizers.grouped_optimizer import GroupedOptimizer
from keras_capi.validation import check_number


@keras.saving.register_keras_serializable(package="keras_capi")
class SGD(GroupedOptimizer):
    """SGD with momentum and weight decay, as in torch.

    For a variable `w` with the gradient `g`:

    ```
    m = momentum * m + g + decay * w
    w -= rate * m
    ```

    As in torch, the momentum does not include the learning rate; in Keras's
    `SGD` it does. Biases and norms decay like all other variables.

    Groups and learning rates work as in `keras_capi.optimizers.AdamW`.

    Args:
        learning_rate: Float or schedule. Defaults to `0.05`.
        weight_decay: Float or schedule. Defaults to `1e-5`.
        momentum: Float in `[0, 1)`. Defaults to `0.9`.
        without_momentum: Sequence of names of `groups` whose variables have no
            momentum, such as a layer that is replaced in each epoch. Defaults
            to `()`.
        groups: Dictionary from names to `keras_capi.optimizers.Group`s, or
            `None`. Defaults to `None`.
        gradient_accumulation_steps: Integer or `None`. Number of batches whose
            gradients are averaged for one update. Defaults to `None`.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If an argument is out of range or, in `build`, if a group
            has no variables or does not fit them.

    Example:

    >>> optimizer = keras_capi.optimizers.SGD(0.1, weight_decay=1e-4)
    >>> layer = keras.layers.Dense(4)
    >>> layer.build((None, 8))
    >>> optimizer.build(layer.trainable_variables)

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520), section 3.4
    """

    def __init__(
        self,
        learning_rate=0.05,
        weight_decay=1e-5,
        momentum=0.9,
        without_momentum=(),
        groups=None,
        gradient_accumulation_steps=None,
        **kwargs,
    ):
        super().__init__(
            learning_rate,
            weight_decay,
            groups=groups,
            gradient_accumulation_steps=gradient_accumulation_steps,
            **kwargs,
        )
        check_number("momentum", momentum, "[0, 1)")
        is_sequence = hasattr(without_momentum, "__iter__") and not isinstance(
            without_momentum, str
        )
        if not is_sequence or set(without_momentum) - set(self.groups):
            raise ValueError(
                "`without_momentum` must name some of `groups`. Received: "
                f"without_momentum={without_momentum!r}, "
                f"groups {sorted(self.groups)}"
            )
        self.momentum = momentum
        self.without_momentum = tuple(without_momentum)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = [
            None
            if set(names) & set(self.without_momentum)
            else self.add_variable_from_reference(variable, "momentum")
            for variable, names in zip(
                variables, self._group_names, strict=True
            )
        ]

    def _backend_update_step(self, gradients, variables, learning_rate):
        step = self.step_values(learning_rate)
        super()._backend_update_step(gradients, variables, step)

    def update_step(self, gradient, variable, step):
        index = self._get_variable_index(variable)
        rule, moment = self._rules[index], self._momentums[index]
        rate, decay = step.rate_and_decay(rule, len(variable.shape))
        dtype = keras.backend.result_type(variable.dtype, "float32")
        weight = ops.cast(variable, dtype)
        moved = ops.cast(gradient, dtype) + ops.cast(decay, dtype) * weight
        if moment is not None:
            former = ops.cast(moment, dtype)
            moved = self.momentum * former + moved
            if rule.skipped_steps:
                moved = ops.where(step.is_frozen(rule), former, moved)
            self.assign(moment, ops.cast(moved, moment.dtype))
        weight = weight - ops.cast(rate, dtype) * moved
        self.assign(variable, ops.cast(weight, variable.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "without_momentum": self.without_momentum,
        }
