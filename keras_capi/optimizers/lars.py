import keras
from keras import ops

from keras_capi.optimizers.trust_optimizer import TrustOptimizer


@keras.saving.register_keras_serializable(package="keras_capi")
class LARS(TrustOptimizer):
    """SGD with momentum whose steps are in proportion to the weights.

    With batches of thousands of images, the gradients of some layers are large
    compared to their weights and those of others small, and no learning rate
    suits all. Here the steps of each variable `w` with the gradient `g` are the
    same share of its norm:

    ```
    g += decay * w
    trust = trust_coefficient * norm(w) / norm(g), or 1 if a norm is 0
    m = momentum * m + rate * trust * g
    w -= m
    ```

    Variables of groups whose `weight_decay_multiplier` is 0, such as biases and
    norms, are not adapted either: their trust ratio is 1, so the full learning
    rate moves them far more.

    Groups and learning rates work as in `keras_capi.optimizers.AdamW`.

    Args:
        learning_rate: Float or schedule. Defaults to `0.3`.
        weight_decay: Float or schedule. Defaults to `1e-6`.
        momentum: Float in `[0, 1)`. Defaults to `0.9`.
        trust_coefficient: Float. Defaults to `0.001`.
        groups: Dictionary from names to `keras_capi.optimizers.Group`s, or
            `None`. Multipliers must be single numbers. Defaults to `None`.
        gradient_accumulation_steps: Integer or `None`. Number of batches whose
            gradients are averaged for one update. Defaults to `None`.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If an argument is out of range or, in `build`, if a group
            has no variables or does not fit them.

    Example:

    >>> optimizer = keras_capi.optimizers.LARS(
    ...     keras_capi.optimizers.WarmupCosine(
    ...         4.8, 10_000, 1000, truncate=1.0, warmup_endpoint=False
    ...     ),
    ...     groups={"biases": keras_capi.optimizers.Group(
    ...         weight_decay_multiplier=0.0
    ...     )},
    ... )
    >>> layer = keras.layers.Dense(4)
    >>> layer.build((None, 8))
    >>> optimizer.assign_groups({"biases": [layer.bias]})
    >>> optimizer.build(layer.trainable_variables)

    Reference:

    - [LARS](https://arxiv.org/abs/1708.03888), algorithm 1
    - [SimCLR](https://arxiv.org/abs/2002.05709), section 2.2
    """

    def __init__(
        self,
        learning_rate=0.3,
        weight_decay=1e-6,
        momentum=0.9,
        trust_coefficient=0.001,
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

    def update_step(self, gradient, variable, step):
        index = self._get_variable_index(variable)
        rule, moment = self._rules[index], self._momentums[index]
        rate, decay = step.rate_and_decay(rule)
        # Squares would overflow in half precision.
        dtype = keras.backend.result_type(moment.dtype, "float32")
        gradient, weight, former, rate = (
            ops.cast(x, dtype) for x in (gradient, variable, moment, rate)
        )
        if rule.weight_decay_multiplier:
            gradient = gradient + ops.cast(decay, dtype) * weight
            rate = rate * self._trust(weight, gradient)
        moved = self.momentum * former + rate * gradient
        weight = weight - moved
        if rule.frozen_steps:
            # Remaining momentum does not move it either.
            is_frozen = step.is_frozen(rule)
            moved = ops.where(is_frozen, former, moved)
            weight = ops.where(is_frozen, ops.cast(variable, dtype), weight)
        self.assign(moment, ops.cast(moved, moment.dtype))
        self.assign(variable, ops.cast(weight, variable.dtype))

    def _trust(self, weight, gradient):
        size, slope = (
            ops.sqrt(ops.sum(ops.square(x))) for x in (weight, gradient)
        )
        is_usual = ops.logical_and(size > 0, slope > 0)
        trust = self.trust_coefficient * size / ops.where(is_usual, slope, 1.0)
        return ops.where(is_usual, trust, 1.0)
