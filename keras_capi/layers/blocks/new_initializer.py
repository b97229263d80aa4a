def new_initializer(initializer, default):
    """Returns a copy of an initializer, or a default in place of `None`.

    One initializer without a seed gives the same numbers each time; copies of
    it do not.
    """
    if initializer is None:
        return default
    return getattr(initializer, "clone", lambda: initializer)()
