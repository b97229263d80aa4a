"""Checks of arguments and inputs that several parts of the package share."""

import math
import numbers

import keras
import numpy as np

# Seeds below it suit the generators of all backends.
SEED_END = 2**31


def check_positive_integer(name, value, or_none=False):
    """Raises a `ValueError` unless an argument is a positive integer."""
    _check_integer(name, value, 1, "a positive integer", or_none)


def check_non_negative_integer(name, value, or_none=False):
    """Raises a `ValueError` unless an argument is 0, 1, 2, ..."""
    _check_integer(name, value, 0, "0 or a positive integer", or_none)


def check_seed(name, value, or_none=True):
    """Raises a `ValueError` unless an argument is a seed on every backend."""
    rule = f"an integer from 0 to {SEED_END - 1}"
    _check_integer(name, value, 0, rule, or_none, SEED_END)


def _check_integer(name, value, low, rule, or_none, end=math.inf):
    if or_none and value is None:
        return
    if not is_integer(value) or not low <= value < end:
        rule += " or None" if or_none else ""
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def is_integer(value):
    """Tells whether an argument is an integer, and not a Boolean."""
    return _is_number(value, numbers.Integral)


def _is_number(value, kind=numbers.Real):
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def check_number(name, value, interval="(-inf, inf)"):
    """Raises a `ValueError` unless an argument is a number in an interval.

    Args:
        name: String. The name of the argument.
        value: The argument.
        interval: String such as `"[0, 1)"`, which the message quotes. Defaults
            to all finite numbers.
    """
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    if _is_number(value):
        above = value >= low if interval[0] == "[" else value > low
        below = value <= high if interval[-1] == "]" else value < high
        if above and below:
            return
    rule = WORDS.get(interval, f"in {interval}")
    raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


# Intervals that are better said than written.
WORDS = {
    "(-inf, inf)": "a finite number",
    "(0, inf)": "a positive number",
    "[0, inf)": "0 or a positive number",
}


def check_positive(name, value):
    """Raises a `ValueError` unless an argument is a number above 0."""
    check_number(name, value, "(0, inf)")


def check_non_negative(name, value):
    """Raises a `ValueError` unless an argument is 0 or a number above it."""
    check_number(name, value, "[0, inf)")


def check_ratio(name, value):
    """Raises a `ValueError` unless an argument is in (0, 1)."""
    check_number(name, value, "(0, 1)")


def check_aspect_ratios(min_aspect_ratio, max_aspect_ratio):
    """Raises a `ValueError` unless they are bounds of height over width."""
    check_positive("min_aspect_ratio", min_aspect_ratio)
    check_positive("max_aspect_ratio", max_aspect_ratio)
    if max_aspect_ratio < min_aspect_ratio:
        raise ValueError(
            "`max_aspect_ratio` must not be below `min_aspect_ratio`. "
            f"Received: min_aspect_ratio={min_aspect_ratio}, "
            f"max_aspect_ratio={max_aspect_ratio}"
        )


def check_unless_symbolic(check, name, value):
    """Checks an argument, but not sizes within a graph: they have no value."""
    if value is None or isinstance(value, numbers.Number | str):
        check(name, value)


def check_integers(name, values):
    """Returns a sequence of integers, or of none, as a tuple, or raises."""
    is_sequence = hasattr(values, "__iter__") and not isinstance(values, str)
    if not is_sequence or not all(is_integer(value) for value in values):
        raise ValueError(
            f"`{name}` must be a sequence of integers. "
            f"Received: {name}={values!r}"
        )
    return tuple(values)


def check_each(name, values, check, *arguments):
    """Returns a sequence as a tuple, each of whose items passes a check.

    Args:
        name: String. The name of the argument.
        values: The argument, which must have an item or more.
        check: One of the functions above.
        *arguments: Further arguments of `check`.
    """
    is_sequence = hasattr(values, "__iter__") and not isinstance(values, str)
    values = tuple(values) if is_sequence else values
    if not is_sequence or not values:
        raise ValueError(
            f"`{name}` must be a sequence of one or more values. "
            f"Received: {name}={values!r}"
        )
    for value in values:
        try:
            check(name, value, *arguments)
        except ValueError as error:
            rule = str(error).partition(" Received: ")[0]
            raise ValueError(f"{rule} Received: {name}={values!r}") from None
    return values


def check_choice(name, value, choices, or_none=False):
    """Raises a `ValueError` unless an argument is one of some strings."""
    if or_none and value is None:
        return
    # What cannot be hashed is not looked up.
    if not isinstance(value, str) or value not in choices:
        rule = ", ".join(map(repr, choices)) + (" or None" if or_none else "")
        raise ValueError(
            f"`{name}` must be one of {rule}. Received: {name}={value!r}"
        )


def check_callable(name, value, or_else="None"):
    """Raises a `ValueError` unless an argument can be called."""
    if not callable(value):
        raise ValueError(
            f"`{name}` must be a function or a layer, or {or_else}. "
            f"Received: {name}={value!r}"
        )


def check_grid_size(grid_size, name="grid_size"):
    """Returns rows and columns of patches as a tuple, or raises.

    Within a graph they may be scalar tensors, which have no value.
    """
    if not isinstance(grid_size, list | tuple) or len(grid_size) != 2:
        raise ValueError(
            f"`{name}` must be two integers, rows and columns of patches. "
            f"Received: {name}={grid_size}"
        )
    for size in grid_size:
        check_unless_symbolic(check_positive_integer, name, size)
    return tuple(grid_size)


def check_bounds(name, value, largest=math.inf):
    """Returns two floats, 0 < low <= high <= largest, or raises."""
    try:
        low, high = value
        is_valid = _is_number(low) and _is_number(high)
        is_valid = is_valid and 0 < low <= high <= largest and high < math.inf
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        rule = "0 < low <= high"
        if largest < math.inf:
            rule += f" <= {largest:g}"
        raise ValueError(
            f"`{name}` must be two numbers with {rule}. "
            f"Received: {name}={value!r}"
        )
    return float(low), float(high)


def check_images(images, patch_size, num_channels):
    """Raises a `ValueError` unless images suit a patch embedding.

    Args:
        images: Array or tensor. Unknown sizes (`None`) pass.
        patch_size: Integer. Must divide height and width.
        num_channels: Integer. The expected last axis.
    """
    shape = known_shape("images", images)
    if len(shape) != 4:
        raise ValueError(
            "`images` must have rank 4: (batch, height, width, channels). "
            f"Received: images.shape={shape}"
        )
    if known_channels(images) != num_channels:
        raise ValueError(
            f"`images` must have {num_channels} channels, on the last axis. "
            f"Received: images.shape={shape}"
        )
    for name, size in (("height", shape[1]), ("width", shape[2])):
        if isinstance(size, int) and (size < patch_size or size % patch_size):
            raise ValueError(
                f"The {name} of `images` must be divisible by the patch size: "
                "resize or crop the images. Received: "
                f"images.shape={shape}, patch_size={patch_size}"
            )
    check_normalized(images)


def check_normalized(images):
    """Raises a `ValueError` if images are integers, so not normalised."""
    dtype = keras.backend.standardize_dtype(images.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "`images` must be floating point, normalised (see "
            "`keras_capi.layers.ImageNetNormalization`). "
            f"Received: images.dtype={dtype}"
        )


def known_shape(name, x):
    """Returns the shape of an array or tensor, or raises if it has no rank."""
    if getattr(x.shape, "rank", 0) is None:
        # Only TensorFlow compiles a step without knowing it.
        raise ValueError(
            f"`{name}` must have a known rank. Set it in the data set, for "
            "example by `tf.ensure_shape(images, (None, 224, 224, 3))` in its "
            "`map`, or decode by `tf.io.decode_image(..., "
            "expand_animations=False)`. Received: a tensor of unknown shape"
        )
    return tuple(x.shape)


def known_channels(images):
    """Returns the number of channels of images, or raises if it is unknown."""
    shape = known_shape("images", images)
    if not shape or shape[-1] is None:
        raise ValueError(
            "`images` must have a known number of channels, on the last axis. "
            "Set it in the data set, for example by `tf.io.decode_image(..., "
            f"channels=3)`. Received: images.shape={shape}"
        )
    return shape[-1]


def check_layers(layers, num_layers):
    """Raises a `ValueError` unless an encoder has blocks of these numbers."""
    if not isinstance(layers, tuple | list) or not all(
        is_integer(layer) and 1 <= layer <= num_layers for layer in layers
    ):
        raise ValueError(
            "`layers` must be a tuple of numbers from 1 to `num_layers`, the "
            f"output of the encoder. Received: layers={layers}, "
            f"num_layers={num_layers}"
        )


def check_image_shape(image_shape, patch_size):
    """Returns an `image_shape` argument as a tuple, or raises `ValueError`."""
    check_positive_integer("patch_size", patch_size)
    is_triple = isinstance(image_shape, tuple | list) and len(image_shape) == 3
    if not is_triple or not is_integer(image_shape[-1]) or image_shape[-1] < 1:
        raise ValueError(
            "`image_shape` must be (height, width, channels) with a number of "
            f"channels. Received: image_shape={image_shape}"
        )
    for size in image_shape[:2]:
        check_positive_integer("image_shape", size, or_none=True)
        if size is not None and (size < patch_size or size % patch_size):
            raise ValueError(
                "Height and width in `image_shape` must be divisible by "
                f"`patch_size`, or None. Received: image_shape={image_shape}, "
                f"patch_size={patch_size}"
            )
    return tuple(image_shape)


def is_array(x):
    """Tells whether an input is one array or tensor, not a data set."""
    return hasattr(x, "shape") and hasattr(x, "dtype")
