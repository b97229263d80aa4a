import keras
from keras import ops

from keras_capi.optimizers.trust_optimizer import TrustOptimizer
from keras_capi.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_capi")
class LARC(TrustOptimizer):
    """Gradient descent with momentum and a rate of its own for each variable.

    Layer-wise adaptive rate control: each variable moves by a share of its own
    length, however large its gradient is, which makes large batches possible.
    The decay is a part of what is rescaled, biases and norms are variables as
    all others. Of a variable `w` with the gradient `g`:

    ```
    trust = trust_coefficient * norm(w) / (norm(g) + decay * norm(w) + epsilon)
    m = momentum * m + trust * (g + decay * w)
    w -= rate * m
    ```

    Where a norm is 0, as at the start of a bias of zeros, `m = momentum * m +
    g`. The trust is not limited from above. Keras's `SGD` has the rate of a
    step in its momentum, torch's and this have it outside.

    Groups and rates are as in `keras_capi.optimizers.AdamW`.

    Args:
        learning_rate: Float or schedule. Defaults to `0.6`.
        weight_decay: Float or schedule. Defaults to `1e-6`.
        momentum: Float in `[0, 1)`. Defaults to `0.9`.
        trust_coefficient: Float. Defaults to `0.001`.
        epsilon: Float. Defaults to `1e-8`.
        groups: Dictionary from names to `keras_capi.optimizers.Group`s, or
            `None`. Their multipliers are single numbers. Defaults to `None`.
        gradient_accumulation_steps: Integer or `None`. Batches whose gradients
            are averaged for one update. Defaults to `None`.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If an argument is out of range, or, in `build`, if a group
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

    - [LARS](https://arxiv.org/abs/1708.03888), of which this is a variant
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
        """Returns the gradient with decay, times the trust."""
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
