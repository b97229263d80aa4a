import inspect

import keras


def named_arguments(method, first, args, kwargs):
    """Names positional arguments, so that checks can find them.

    Args:
        method: String. A method of `keras.Model`.
        first: String. The parameter that `args` begin with.
        args: Tuple of positional arguments.
        kwargs: Dictionary of keyword arguments.

    Returns:
        Dictionary of all arguments.
    """
    if not args:
        return kwargs
    names = [*inspect.signature(getattr(keras.Model, method)).parameters]
    names = names[names.index(first) :]
    if len(args) > len(names):
        raise TypeError(
            f"`{method}` takes at most {len(names)} arguments from `{first}` "
            f"on. Received: {len(args)}"
        )
    # Raises an error if an argument was given both ways.
    return dict(**dict(zip(names, args, strict=False)), **kwargs)
