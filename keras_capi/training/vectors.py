def list_vectors(variables):
    """Returns biases, scales of norms and the like, which do not decay.

    Tokens are not among them: they are stored with a leading axis that counts
    them.

    Args:
        variables: List of variables.

    Returns:
        List of the variables with at most one axis.
    """
    return [variable for variable in variables if len(variable.shape) <= 1]
