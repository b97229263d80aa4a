import keras
from keras import ops

from keras_capi.optimizers.trust_optimizer import TrustOptimizer
from keras_capi.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_capi")
class LARC(TrustOptimizer):
    """SGD with momentum and a separate learning rate for each variable.

    Layer-wise adaptive rate control: each variable moves by a share of its own
    norm, however large its gradient is, which makes large batches possible. The
    weight decay is rescaled together with the gradient, and biases and norms
    are treated like all other variables. For a variable `w` with the gradient
    `g`:

    ```
    trust = trust_coefficient * norm(w) / (norm(g) + decay * norm(w) + epsilon)
    m = momentum * m + trust * (g + decay * w)
    w -= rate * m
    ```

    If a norm is 0, like that of a bias at the start, `m = momentum * m + g`.
    The trust ratio has no upper limit. As in torch, the momentum does not
    include the learning rate; in Keras's `SGD` it does.

    Groups and learning rates work as in `keras_capi.optimizers.AdamW`.

    Args:
        learning_rate: Float or schedule. Defaults to `0.6`.
        weight_decay: Float or schedule. Defaults to `1e-6`.
        momentum: Float in `[0, 1)`. Defaults to `0.9`.
        trust_coefficient: Float. Defaults to `0.001`.
        epsilon: Float. Defaults to `1e-8`.
        groups: Dictionary from names to `keras_capi.optimizers.Group`s, or
            `None`. Multipliers must be single numbers. Defaults to `None`.
        gradient_accumulation_steps: Integer or `None`. Number of batches whose
            gradients are averaged for one update. Defaults to `None`.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If an argument is out of range or, in `build`, if a group
            has no variables or does not fit them.

    Example:

    >>> optimizer = keras_capi.optimizers.LARC(
    ...     keras_capi.optimizers.WarmupCosine(
    ...         4.8, 1000, 10, start_value=0.3, truncate=1.0
    ...     )
    ... )
    >>> layer = keras.layers.Dense(4)
    >>> layer.build((None, 8))
    >>> optimizer.build(layer.trainable_variables)

    Reference:

    - [LARS](https://arxiv.org/abs/1708.03888), which this is a variant of
    - [SwAV](https://arxiv.org/abs/2006.09882), section 4 (implementation)
    """

    def __init__(
        self,
        learning_rate=0.6,
        weight_decay=1e-6,
        momentum=0.9,
        trust_coefficient=0.001,
        epsilon=1e-8,
        groups=None,
        gradient_accumulation_steps=None,
        **kwargs,
    ):
        super().__init__(
            learning_rate,
            weight_decay,
            momentum,
            trust_coefficient,
            groups=groups,
            gradient_accumulation_steps=gradient_accumulation_steps,
            **kwargs,
        )
        check_positive("epsilon", epsilon)
        self.epsilon = epsilon

    def update_step(self, gradient, variable, step):
        index = self._get_variable_index(variable)
        rule, moment = self._rules[index], self._momentums[index]
        rate, decay = step.rate_and_decay(rule)
        # Squares would overflow in half precision.
        dtype = keras.backend.result_type(moment.dtype, "float32")
        weight = ops.cast(variable, dtype)
        former = ops.cast(moment, dtype)
        moved = self.momentum * former + self._rescale(
            ops.cast(gradient, dtype), weight, ops.cast(decay, dtype)
        )
        if rule.skipped_steps:
            moved = ops.where(step.is_frozen(rule), former, moved)
        self.assign(moment, ops.cast(moved, moment.dtype))
        weight = weight - ops.cast(rate, dtype) * moved
        self.assign(variable, ops.cast(weight, variable.dtype))

    def _rescale(self, gradient, weight, decay):
        """Returns the gradient with weight decay, times the trust ratio."""
        weight_norm = ops.sqrt(ops.sum(ops.square(weight)))
        gradient_norm = ops.sqrt(ops.sum(ops.square(gradient)))
        trust = (self.trust_coefficient * weight_norm) / (
            gradient_norm + decay * weight_norm + self.epsilon
        )
        return ops.where(
            ops.logical_and(weight_norm > 0, gradient_norm > 0),
            (gradient + decay * weight) * trust,
            gradient,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
        }
