"""Which weights are treated alike, by the authors' names."""

import numpy as np

from benchmarks.replay.weights import in_their_layout


def names_of(members, make_pairs, shapes):
    """Returns the authors' names of some weights, as an array.

    Args:
        members: Set of the ids of weights.
        make_pairs: See `in_their_layout`.
        shapes: Likewise.
    """
    flags = in_their_layout(
        make_pairs,
        shapes,
        lambda weight: np.full(weight.shape, id(weight) in members),
    )
    return np.array([name for name, values in flags.items() if values.all()])


def trained_names(model, make_pairs, shapes):
    """Returns the authors' names of the weights that are trained."""
    trained = {id(variable) for variable in model.trainable_variables}
    return names_of(trained, make_pairs, shapes)


def names_by_decay(model, make_pairs, shapes):
    """Returns names of weights that decay, and of those that do not.

    Args:
        model: Method of this package, compiled.
        make_pairs: See `in_their_layout`.
        shapes: Likewise.
    """
    groups = model.optimizer.groups
    exempt = {
        id(variable)
        for name, variables in model.parameter_groups().items()
        if name in groups and groups[name].weight_decay_multiplier == 0
        for variable in variables
    }
    trained = {id(variable) for variable in model.trainable_variables}
    return tuple(
        names_of(members, make_pairs, shapes)
        for members in (trained - exempt, trained & exempt)
    )


def multipliers(model, attribute, make_pairs, shapes):
    """Returns what the groups of each weight make of an attribute.

    Args:
        model: Method of this package, compiled.
        attribute: String. A multiplier of `keras_capi.optimizers.Group`, such
            as `"learning_rate_multiplier"`; of several groups the product.
        make_pairs: See `in_their_layout`.
        shapes: Likewise.

    Returns:
        Dictionary from the authors' names to floats.
    """
    values = {id(weight): 1.0 for weight in model.weights}
    groups = model.optimizer.groups
    for name, variables in model.parameter_groups().items():
        if name not in groups:
            continue
        for variable in variables:
            values[id(variable)] *= getattr(groups[name], attribute)
    filled = in_their_layout(
        make_pairs,
        shapes,
        lambda weight: np.full(weight.shape, values[id(weight)]),
    )
    return {name: float(array.flat[0]) for name, array in filled.items()}
