import inspect


def passes_on_to(function):
    """Declares where a method passes its `**overrides`.

    Args:
        function: Function or class that gets them.

    Returns:
        Decorator of a method.
    """

    def decorate(method):
        method.passed_on_to = function
        return method

    return decorate


def list_parameters(function):
    """Returns the parameters of a function, with those that it passes on.

    Args:
        function: Function or class.

    Returns:
        Dictionary from names to `inspect.Parameter`s, without `self`, `*args`
        and `**kwargs`.
    """
    # Of a class whose parent has the `__init__`, Python before 3.11.5 takes the
    # signature of `__new__`, which Keras's layers have.
    called = function.__init__ if inspect.isclass(function) else function
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(called).parameters.items()
        if name != "self"
        and parameter.kind
        not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    passed_on_to = getattr(function, "passed_on_to", None)
    if passed_on_to is not None:
        parameters = {**list_parameters(passed_on_to), **parameters}
    return parameters
