import inspect

import keras


def named_arguments(method, first, args, kwargs):
    """Gives names to what came by position, so that checks can find it.

    Args:
        method: String: a method of `keras.Model`.
        first: String: its parameter that `args` begin with.
        args: Tuple: arguments by position.
        kwargs: Dictionary: arguments by name.

    Returns:
        Dictionary of all.
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
    # An error if one came both ways.
    return dict(**dict(zip(names, args, strict=False)), **kwargs)
