import keras
from keras import ops

from keras_capi import backend
from keras_capi.optimizers.checks import check_clipping
from keras_capi.optimizers.checks import check_moments
from keras_capi.optimizers.clipping import clip_by_norms
from keras_capi.optimizers.grouped_optimizer import GroupedOptimizer
from keras_capi.optimizers.rules import find_networks


@keras.saving.register_keras_serializable(package="keras_capi")
class AdamW(GroupedOptimizer):
    """AdamW with rates, decays and frozen steps for groups of variables.

    Most methods of this package train with it. The optimizer knows groups by
    name and defines how they differ, see `keras_capi.optimizers.Group`; the
    model decides which variables are in a group, so nothing depends on the
    names of variables. Models of this package do that in `compile`; for others,
    call `assign_groups` first.

    The update is that of `torch.optim.AdamW`: with the learning rate of the
    variable, including its multiplier, `w -= rate * decay * w`, then `w -= rate
    * m / (sqrt(v) + epsilon)`, where epsilon is added to the root of the
    *bias-corrected* second moment. `keras.optimizers.AdamW` adds it before the
    correction, which matters for weights whose gradients are as small as
    epsilon.

    Learning rates that are plain numbers can be changed during training, by
    `optimizer.learning_rate = 1e-4` or by Keras's `LearningRateScheduler` and
    `ReduceLROnPlateau`; the groups' own plain rates change in proportion.
    Schedules count updates, also when gradients are accumulated.

    Args:
        learning_rate: Float or schedule. Defaults to `1e-3`.
        weight_decay: Float or schedule. Defaults to `0.01`.
        beta_1: Float. Defaults to `0.9`.
        beta_2: Float. Defaults to `0.999`.
        epsilon: Float. Defaults to `1e-8`.
        groups: Dictionary from names to `keras_capi.optimizers.Group`s, or
            `None`. Defaults to `None`.
        clip_norm: Float or `None`. Gradients are multiplied by
            `min(1, clip_norm / (norm + 1e-6))`, before those of frozen groups
            are dropped. Defaults to `None`.
        clip_scope: String or sequence of strings. Which gradients share a norm:
            `"global"`, all of them; `"tensor"`, none, each has its own (DINO,
            iBOT); or names of the model's groups that together hold each
            variable once, its networks: those of each network (DINOv2).
            Defaults to `"global"`.
        gradient_accumulation_steps: Integer or `None`. Number of batches whose
            gradients are averaged for one update. Defaults to `None`.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If an argument is out of range or, in `build`, if a group
            has no variables or does not fit them.

    Example:

    >>> optimizer = keras_capi.optimizers.AdamW(
    ...     keras_capi.optimizers.WarmupCosine(5e-4, 1000, 100, truncate=1.0),
    ...     weight_decay=0.05,
    ...     groups={"biases": keras_capi.optimizers.Group(
    ...         weight_decay_multiplier=0.0
    ...     )},
    ...     clip_norm=3.0,
    ... )
    >>> layer = keras.layers.Dense(4)
    >>> layer.build((None, 8))
    >>> optimizer.assign_groups({"biases": [layer.bias]})
    >>> optimizer.build(layer.trainable_variables)

    Reference:

    - [AdamW](https://arxiv.org/abs/1711.05101), algorithm 2
    """

    def __init__(
        self,
        learning_rate=1e-3,
        weight_decay=0.01,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        groups=None,
        clip_norm=None,
        clip_scope="global",
        gradient_accumulation_steps=None,
        **kwargs,
    ):
        check_moments(beta_1, beta_2, epsilon)
        super().__init__(
            learning_rate,
            weight_decay,
            groups,
            gradient_accumulation_steps,
            **kwargs,
        )
        # TensorFlow's fused update refuses NumPy's floats, of 64 bits.
        self.beta_1 = float(beta_1)
        self.beta_2 = float(beta_2)
        self.epsilon = float(epsilon)
        self.clip_norm = clip_norm
        self.clip_scope = check_clipping(clip_norm, clip_scope)

    def build(self, variables):
        if self.built:
            return
        self._networks = find_networks(
            variables, self.clip_scope, self._members
        )
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def _backend_update_step(self, gradients, variables, learning_rate):
        if self.clip_norm is not None:
            networks = [
                self._networks[self._get_variable_index(variable)]
                for variable in variables
            ]
            gradients = clip_by_norms(gradients, networks, self.clip_norm)
        step = self.step_values(learning_rate, self.beta_1, self.beta_2)
        rest = self._fused_update(gradients, variables, step)
        if rest:
            super()._backend_update_step(*zip(*rest, strict=True), step)

    def _fused_update(self, gradients, variables, step):
        """Updates all variables with the same rule in one call.

        Returns:
            List of pairs of a gradient and a variable that have no such call.
        """
        rules = [self._rules[self._get_variable_index(v)] for v in variables]
        fits = backend.have_fused_adamw(
            variables, [rule.skipped_steps > 0 for rule in rules]
        )
        alike, rest = {}, []
        for rule, fit, *pair in zip(
            rules, fits, gradients, variables, strict=True
        ):
            is_alike = fit and rule.is_uniform
            pairs = alike.setdefault(rule, []) if is_alike else rest
            pairs.append(pair)
        for rule, pairs in alike.items():
            indices = [self._get_variable_index(v) for _, v in pairs]
            backend.fused_adamw(
                [variable for _, variable in pairs],
                [gradient for gradient, _ in pairs],
                [self._momentums[index] for index in indices],
                [self._velocities[index] for index in indices],
                *step.rate_and_decay(rule),
                step.step(rule),
                step.corrections(rule),
                self.beta_1,
                self.beta_2,
                self.epsilon,
                step.is_frozen(rule) if rule.skipped_steps else None,
            )
        return rest

    def update_step(self, gradient, variable, step):
        index = self._get_variable_index(variable)
        rule = self._rules[index]
        moments = self._momentums[index], self._velocities[index]
        # Half precision cannot hold a small epsilon or small squares: the
        # moments are only rounded after the update, as in torch.
        dtype = keras.backend.result_type(moments[0].dtype, "float32")
        momentum, velocity = (ops.cast(moment, dtype) for moment in moments)
        gradient = ops.cast(gradient, dtype)
        square = ops.square(gradient)
        if rule.skipped_steps:
            is_frozen = step.is_frozen(rule)
            gradient = ops.where(is_frozen, momentum, gradient)
            square = ops.where(is_frozen, velocity, square)
        momentum = momentum + (gradient - momentum) * (1 - self.beta_1)
        velocity = velocity + (square - velocity) * (1 - self.beta_2)
        for moment, value in zip(moments, (momentum, velocity), strict=True):
            self.assign(moment, ops.cast(value, moment.dtype))
        first, second = step.corrections(rule)
        rate, decay = step.rate_and_decay(rule, len(variable.shape))
        weight = ops.cast(variable, dtype)
        if not (isinstance(decay, float) and decay == 0.0):
            weight = weight - weight * ops.cast(rate * decay, dtype)
        # `m / first / (sqrt(v) / second + epsilon)`, with fewer operations.
        size = ops.cast(rate * second / first, dtype)
        root = ops.sqrt(velocity) + ops.cast(self.epsilon * second, dtype)
        weight = weight - momentum * size / root
        self.assign(variable, ops.cast(weight, variable.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "clip_norm": self.clip_norm,
            "clip_scope": self.clip_scope,
        }
