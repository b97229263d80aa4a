from keras_capi.optimizers.grouped_optimizer import GroupedOptimizer
from keras_capi.validation import check_number
from keras_capi.validation import check_positive


class TrustOptimizer(GroupedOptimizer):
    """Base class of optimizers that scale steps by the norms of variables.

    Args:
        learning_rate: Float or schedule.
        weight_decay: Float or schedule.
        momentum: Float in `[0, 1)`.
        trust_coefficient: Float.
        **kwargs: Other arguments of `GroupedOptimizer`.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay,
        momentum,
        trust_coefficient,
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        check_number("momentum", momentum, "[0, 1)")
        check_positive("trust_coefficient", trust_coefficient)
        self.momentum = momentum
        self.trust_coefficient = trust_coefficient

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if not all(rule.is_uniform for rule in self._rules):
            raise ValueError(
                "`groups` must have single numbers as multipliers, as a "
                "variable has one trust ratio. "
                f"Received: groups={self.groups}"
            )
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def _backend_update_step(self, gradients, variables, learning_rate):
        step = self.step_values(learning_rate)
        super()._backend_update_step(gradients, variables, step)

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "trust_coefficient": self.trust_coefficient,
        }
