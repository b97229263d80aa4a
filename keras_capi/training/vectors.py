def list_vectors(variables):
    """Returns biases, scales of norms and the like, which do not decay.

    Tokens are no vectors: they are stored with the axis that counts them.

    Args:
        variables: List of variables.

    Returns:
        List of those with at most one axis.
    """
    return [variable for variable in variables if len(variable.shape) <= 1]
