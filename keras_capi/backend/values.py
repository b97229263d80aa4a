"""The values of many variables."""

import keras

from keras_capi.backend.active import BACKEND


def values_of(variables):
    """Returns the values of variables, as their `value` does outside of layers.

    For each `value` Keras looks at all its scopes. On torch, where steps run in
    Python, that takes longer than the kernels for all variables together. Here
    it is done once.

    Args:
        variables: List of `keras.Variable`s.
    """
    if BACKEND != "torch" or _is_replacing():
        return [variable.value for variable in variables]
    return [variable._value for variable in variables]


def _is_replacing():
    """Returns whether variables may have other values than their own."""
    import torch

    if torch.compiler.is_compiling():
        # The compiler looks once for all steps, and does not know the scope.
        return True
    with keras.StatelessScope(initialize_variables=False) as scope:
        return scope.original_scope is not None
