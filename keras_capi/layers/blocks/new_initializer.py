def new_initializer(initializer, default):
    """Returns a copy of an initializer, or a default if it is `None`.

    An initializer without a seed gives the same numbers each time it is called;
    copies of it do not.
    """
    if initializer is None:
        return default
    return getattr(initializer, "clone", lambda: initializer)()
