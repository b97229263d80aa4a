"""Learning rates of their own for groups of variables."""

import dataclasses

import keras
from keras import ops

from keras_capi.optimizers.checks import as_rate
from keras_capi.optimizers.checks import check_settable


class GroupRates:
    """The own learning rates of an optimizer's groups; numbers are variables.

    If the optimizer's rate is a plain number too, they keep their ratio to it:
    the ratio at the moment when it is set, as rates may have come from a file
    by then. If it is 0, they resume the last ratio there was.

    Args:
        groups: Dictionary of `keras_capi.optimizers.Group`s.
        optimizer: The optimizer that holds the variables.
    """

    def __init__(self, groups, optimizer):
        self.rates = {}
        self._ratios = {}
        self._groups = groups
        self._optimizer = optimizer
        for name, group in groups.items():
            if group.learning_rate is None:
                continue
            rate = as_rate("learning_rate", group.learning_rate)
            if not callable(rate):
                rate = optimizer.add_variable(
                    (),
                    keras.initializers.Constant(rate),
                    aggregation="only_first_replica",
                    name=f"{name}_learning_rate",
                )
            self.rates[name] = rate
        self._remember_ratios()

    def assign(self, name, value):
        """Sets the learning rate of a group.

        Args:
            name: String.
            value: Float.
        """
        argument = f"{name}_learning_rate"
        value = as_rate(argument, value)
        check_settable(argument, self.rates[name], value)
        self.rates[name].assign(value)
        self._ratios.pop(name, None)

    def follow(self, value):
        """Scales the rates in proportion to the optimizer's, before it is set.

        Args:
            value: Float. The optimizer's new rate.
        """
        self._remember_ratios()
        for name, ratio in self._ratios.items():
            self.rates[name].assign(value * ratio)

    def current_groups(self):
        """Returns the groups with their current rates."""
        rates = {
            name: rate if callable(rate) else float(ops.convert_to_numpy(rate))
            for name, rate in self.rates.items()
        }
        return {
            name: dataclasses.replace(group, learning_rate=rates.get(name))
            for name, group in self._groups.items()
        }

    def untold_ratios(self):
        """Returns the ratios, by name, that the current rates do not tell."""
        common = self._optimizer._learning_rate
        if callable(common) or float(ops.convert_to_numpy(common)):
            return {}
        return dict(self._ratios)

    def take_up(self, ratios):
        """Takes the ratios that `untold_ratios` returned of other rates.

        Args:
            ratios: Dictionary from names to floats.
        """
        self._ratios.update(ratios)

    def _remember_ratios(self):
        common = self._optimizer._learning_rate
        own = {k: rate for k, rate in self.rates.items() if not callable(rate)}
        if callable(common) or not own:
            return
        common = float(ops.convert_to_numpy(common))
        if common:
            for name, rate in own.items():
                self._ratios[name] = float(ops.convert_to_numpy(rate)) / common
