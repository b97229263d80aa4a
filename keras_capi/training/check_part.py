def check_part(name, part, kind):
    """Raises a `ValueError` unless a part is of a class, or `None`.

    For parts of which a method uses more than the call.

    Args:
        name: String. Name of the argument, for the error.
        part: The argument.
        kind: A public class of `keras_capi.layers`.
    """
    if part is not None and not isinstance(part, kind):
        raise ValueError(
            f"`{name}` must be a `keras_capi.layers.{kind.__name__}`, or None. "
            f"Received: {type(part).__name__}"
        )
