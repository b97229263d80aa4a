import importlib


def import_optional(name, extra):
    """Imports a module of a package that only some users need.

    Args:
        name: String. The module, such as `"matplotlib.figure"`.
        extra: String. The extra of `keras-capi` that installs it.

    Returns:
        The module.

    Raises:
        ImportError: If the package is missing. Names the extra.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(
            f"This needs `{package}`, which cannot be imported ({error}). "
            f'To install it: `pip install "keras-capi[{extra}]"`.'
        ) from error
