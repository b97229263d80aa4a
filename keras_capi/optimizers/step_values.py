import math

from keras import ops


class StepValues:
    """Values of one step that the updates of all variables share.

    They are computed once, before the variables are updated one by one.

    Args:
        iterations: Integer scalar tensor. The number of updates so far.
        rates: Dictionary of learning rates, scalar tensors, by the name of the
            group, `""` for the optimizer's.
        decays: Dictionary of weight decays, floats or scalar tensors, with the
            same keys.
        rules: The `Rule`s of the variables.
        beta_1: Float. 0 if there is no first moment. Defaults to `0.0`.
        beta_2: Float. 0 if there is no second moment. Defaults to `0.0`.
    """

    def __init__(
        self, iterations, rates, decays, rules, beta_1=0.0, beta_2=0.0
    ):
        self._rates = {k: ops.cast(x, "float32") for k, x in rates.items()}
        self._decays = decays
        self._is_frozen = {
            count: iterations < count
            for count in {rule.frozen_steps for rule in rules}
        }
        # While a variable skips steps, its count does not matter.
        self._steps = {
            count: ops.maximum(
                ops.cast(iterations + (1 - count), "float32"), 1.0
            )
            for count in {rule.skipped_steps for rule in rules}
        }
        self._corrections = {
            count: (
                _bias_correction(beta_1, step),
                ops.sqrt(_bias_correction(beta_2, step)),
            )
            for count, step in self._steps.items()
        }

    def is_frozen(self, rule):
        """Returns a Boolean scalar tensor: whether a variable is frozen.

        Args:
            rule: The variable's `Rule`.
        """
        return self._is_frozen[rule.frozen_steps]

    def step(self, rule):
        """Returns a variable's own count of this update, from 1."""
        return self._steps[rule.skipped_steps]

    def corrections(self, rule):
        """Returns `1 - beta_1**step` and `sqrt(1 - beta_2**step)`."""
        return self._corrections[rule.skipped_steps]

    def rate_and_decay(self, rule, rank=1):
        """Returns a variable's learning rate and weight decay.

        Args:
            rule: The variable's `Rule`.
            rank: Integer. The variable's number of axes; multipliers that are
                sequences are along the first.
        """
        rate = self._rates[rule.learning_rate]
        if rule.frozen_steps:
            rate = ops.where(self.is_frozen(rule), 0.0, rate)
        decay = self._decays[rule.weight_decay]
        return (
            _multiply(rate, rule.learning_rate_multiplier, rank),
            _multiply(decay, rule.weight_decay_multiplier, rank),
        )


def _bias_correction(beta, step):
    """Returns `1 - beta**step`, exact even if beta is close to 1."""
    return -ops.expm1(step * math.log(beta)) if beta else ops.ones_like(step)


def _multiply(value, multiplier, rank):
    if isinstance(multiplier, tuple):
        multiplier = ops.reshape(
            ops.convert_to_tensor(multiplier, "float32"),
            (-1,) + (1,) * (rank - 1),
        )
    return value * multiplier
