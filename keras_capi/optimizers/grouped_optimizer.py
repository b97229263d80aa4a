import dataclasses

import keras

from keras_capi import backend
from keras_capi.optimizers.checks import as_rate
from keras_capi.optimizers.checks import check_accumulation
from keras_capi.optimizers.checks import check_groups
from keras_capi.optimizers.checks import check_settable
from keras_capi.optimizers.group_rates import GroupRates
from keras_capi.optimizers.rules import find_groups
from keras_capi.optimizers.rules import make_rule
from keras_capi.optimizers.step_values import StepValues

# Of own rates to the optimizer's, in the configuration where that is 0. By its
# name checkpoints know that it may change, as rates may.
RATIOS = "relative_learning_rate"


class GroupedOptimizer(keras.optimizers.Optimizer):
    """Base class of optimizers that treat groups of variables differently.

    A subclass makes its moments in `build` and updates one variable in
    `update_step`, where `self._rules` holds the `Rule` of each variable and
    `step_values` returns what they share.

    Args:
        learning_rate: Float or schedule.
        weight_decay: Float or schedule.
        groups: Dictionary from names to `keras_capi.optimizers.Group`s, or
            `None`. Defaults to `None`.
        gradient_accumulation_steps: Integer or `None`. Number of batches whose
            gradients are averaged for one update. Defaults to `None`.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay,
        groups=None,
        gradient_accumulation_steps=None,
        **kwargs,
    ):
        check_accumulation(gradient_accumulation_steps)
        super().__init__(
            as_rate("learning_rate", learning_rate),
            weight_decay=as_rate("weight_decay", weight_decay),
            gradient_accumulation_steps=gradient_accumulation_steps,
            **kwargs,
        )
        self.groups = check_groups(groups)
        self._members = {}
        self._group_rates = GroupRates(self.groups, self)

    def assign_groups(self, groups):
        """Sets which variables are in the groups, before `build`.

        A built optimizer keeps its groups.

        Args:
            groups: Dictionary from names to lists of `keras.Variable`s. It may
                name more groups than the optimizer has.
        """
        # Ids, because Keras would take variables for the optimizer's own.
        self._members = {
            name: frozenset(id(variable) for variable in variables)
            for name, variables in groups.items()
        }

    def build(self, variables):
        if self.built:
            return
        # Now, because an update sees the backend's variables, which differ.
        members, self._group_names, self._rules = self._members, [], []
        for variable in variables:
            names = find_groups(variable, self.groups, members)
            rule = make_rule(variable, names, self.groups)
            if not self._use_weight_decay(variable):
                # For users of Keras's `exclude_from_weight_decay`.
                rule = dataclasses.replace(rule, weight_decay_multiplier=0.0)
            self._group_names.append(names)
            self._rules.append(rule)
        super().build(variables)

    @property
    def learning_rate(self):
        """The current learning rate."""
        return self._evaluate(self._learning_rate)

    @learning_rate.setter
    def learning_rate(self, value):
        value = as_rate("learning_rate", value)
        if not callable(value):
            check_settable("learning_rate", self._learning_rate, value)
            self._group_rates.follow(value)
        keras.optimizers.Optimizer.learning_rate.fset(self, value)

    @property
    def group_learning_rates(self):
        """The current learning rates of groups with their own, by name."""
        return {
            name: self._evaluate(rate)
            for name, rate in self._group_rates.rates.items()
        }

    def set_group_learning_rate(self, name, value):
        """Sets the learning rate of a group that has its own, a float.

        Args:
            name: String. The group's name.
            value: Float.
        """
        self._group_rates.assign(name, value)

    def _evaluate(self, value):
        return value(self.iterations) if callable(value) else value

    def apply(self, grads, trainable_variables=None):
        super().apply(backend.dense_gradients(grads), trainable_variables)

    def _apply_weight_decay(self, variables):
        """Does nothing: the decay is part of the update."""

    def step_values(self, learning_rate, *betas):
        """Returns the `StepValues` of an update.

        Args:
            learning_rate: Float scalar tensor.
            *betas: `beta_1` and `beta_2` of `StepValues`, if moments need a
                bias correction.
        """
        decays = {
            name: group.weight_decay
            for name, group in self.groups.items()
            if group.weight_decay is not None
        }
        return StepValues(
            self.iterations,
            {"": learning_rate, **self.group_learning_rates},
            {
                name: self._evaluate(decay)
                for name, decay in {"": self.weight_decay, **decays}.items()
            },
            self._rules,
            *betas,
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = {
            **super().get_config(),
            "weight_decay": serialize(self.weight_decay),
            "groups": serialize(self._group_rates.current_groups()),
        }
        ratios = self._group_rates.untold_ratios()
        return {**config, RATIOS: ratios} if ratios else config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        deserialize = keras.saving.deserialize_keras_object
        read = {
            name: deserialize(config[name], custom_objects=custom_objects)
            for name in {"weight_decay", "groups"} & config.keys()
        }
        config = {**config, **read}
        ratios = config.pop(RATIOS, {})
        optimizer = super().from_config(config, custom_objects)
        optimizer._group_rates.take_up(ratios)
        return optimizer
