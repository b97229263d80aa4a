"""What an optimizer does with each variable, derived from groups."""

import dataclasses

import numpy as np

from keras_capi.optimizers.group import Group


@dataclasses.dataclass(frozen=True)
class Rule:
    """The settings of one variable, combined from its groups.

    Attributes:
        learning_rate: String. The group whose learning rate it uses; empty for
            the optimizer's.
        weight_decay: String. The same for the weight decay.
        learning_rate_multiplier: Float or tuple of floats.
        weight_decay_multiplier: Float or tuple of floats.
        frozen_steps: Integer.
        freeze: String.
    """

    learning_rate: str
    weight_decay: str
    learning_rate_multiplier: float | tuple
    weight_decay_multiplier: float | tuple
    frozen_steps: int
    freeze: str

    @property
    def skipped_steps(self):
        """Number of updates that the variable's own step count leaves out."""
        return self.frozen_steps if self.freeze == "gradient" else 0

    @property
    def is_uniform(self):
        """Whether the rule is the same for all entries of the variable."""
        return not isinstance(
            self.learning_rate_multiplier, tuple
        ) and not isinstance(self.weight_decay_multiplier, tuple)


def find_groups(variable, names, members):
    """Returns a tuple of the groups that a variable is in.

    Args:
        variable: `keras.Variable`.
        names: Names of groups.
        members: Dictionary from names to sets of ids of variables.

    Raises:
        ValueError: If the model has no group of one of the names.
    """
    unknown = [name for name in names if name not in members]
    if unknown:
        raise ValueError(
            "The optimizer's groups must be named by the model. Compile a "
            "model of `keras_capi` that has them in its `parameter_groups()`, "
            "or tell the optimizer before it is built which variables they "
            "hold, by `optimizer.assign_groups({name: variables})`; a file of "
            "another model can be loaded by `compile=False`. Received: "
            f"unnamed groups {unknown}, named ones {sorted(members)}"
        )
    return tuple(name for name in names if id(variable) in members[name])


def find_networks(variables, clip_scope, members):
    """Returns a key for each variable that those sharing a norm have in common.

    Args:
        variables: List of `keras.Variable`s.
        clip_scope: As in `keras_capi.optimizers.AdamW`.
        members: Dictionary from names to sets of ids of variables.
    """
    if clip_scope == "global":
        return [0] * len(variables)
    if clip_scope == "tensor":
        return list(range(len(variables)))
    networks = []
    for variable in variables:
        names = find_groups(variable, clip_scope, members)
        if len(names) != 1:
            raise ValueError(
                "The groups in `clip_scope` must hold each variable once. "
                f"Received: clip_scope={clip_scope}, and {variable.path} is "
                f"in {list(names)}"
            )
        networks += names
    return networks


def make_rule(variable, names, groups):
    """Returns the `Rule` of a variable.

    Args:
        variable: `keras.Variable`.
        names: Tuple. The names of its groups.
        groups: Dictionary of `Group`s.

    Raises:
        ValueError: If its groups contradict each other or do not fit the
            variable.
    """
    groups = {name: groups[name] for name in names}
    # Without a group: the default.
    frozen = groups.get(_find_owner(variable, groups, "frozen_steps"), Group())
    return Rule(
        learning_rate=_find_owner(variable, groups, "learning_rate"),
        weight_decay=_find_owner(variable, groups, "weight_decay"),
        learning_rate_multiplier=_multiply(
            variable, groups, "learning_rate_multiplier"
        ),
        weight_decay_multiplier=_multiply(
            variable, groups, "weight_decay_multiplier"
        ),
        frozen_steps=frozen.frozen_steps,
        freeze=frozen.freeze,
    )


def _find_owner(variable, groups, attribute):
    """Returns the name of the group that sets an attribute, or `""`."""
    names = [
        name
        for name, group in groups.items()
        if getattr(group, attribute) != getattr(Group, attribute)
    ]
    if len(names) > 1:
        raise ValueError(
            f"At most one of a variable's groups may have `{attribute}`. "
            f"Received: groups {names} of {variable.path}"
        )
    return names[0] if names else ""


def _multiply(variable, groups, attribute):
    product = 1.0
    for name, group in groups.items():
        multiplier = getattr(group, attribute)
        length = np.size(multiplier)
        if np.ndim(multiplier) and tuple(variable.shape[:1]) != (length,):
            raise ValueError(
                f"A sequence as `{attribute}` must have an entry for each "
                "along the first axis of the group's variables. Received: "
                f"{length} entries in group {name!r}, which has "
                f"{variable.path} of shape {tuple(variable.shape)}"
            )
        product = np.multiply(product, multiplier)
    return tuple(product.tolist()) if np.ndim(product) else float(product)
