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
    exempt = {
        id(variable)
        for name, variables in model.parameter_groups().items()
        if model.optimizer.groups[name].weight_decay_multiplier == 0
        for variable in variables
    }
    trained = {id(variable) for variable in model.trainable_variables}
    return tuple(
        names_of(members, make_pairs, shapes)
        for members in (trained - exempt, trained & exempt)
    )
