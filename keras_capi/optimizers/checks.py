"""Checks that the optimizers share."""

from keras import ops

from keras_capi.optimizers.group import Group
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer


def as_rate(name, rate):
    """Returns a learning rate as a schedule or a float, or raises an error."""
    if callable(rate):
        return rate
    if hasattr(rate, "shape"):
        rate = float(ops.convert_to_numpy(rate))
    check_non_negative(name, rate)
    return float(rate)


def check_settable(name, rate, value):
    """Raises a `ValueError` if a rate is a schedule, which cannot be set."""
    if callable(rate):
        raise ValueError(
            f"`{name}` follows a schedule and cannot be set: make the "
            "optimizer with a plain number as rate, without `total_steps`. "
            f"Received: {name}={value}"
        )


def check_training_size(total_steps, batch_size):
    """Raises a `ValueError` unless a training has updates of some images."""
    check_positive_integer("total_steps", total_steps)
    check_positive_integer("batch_size", batch_size)


def check_moments(beta_1, beta_2, epsilon):
    """Raises a `ValueError` unless these are valid for Adam."""
    check_number("beta_1", beta_1, "[0, 1)")
    check_number("beta_2", beta_2, "[0, 1)")
    check_positive("epsilon", epsilon)


def check_accumulation(steps):
    """Raises a `ValueError` unless Keras can accumulate this many gradients."""
    check_positive_integer("gradient_accumulation_steps", steps, or_none=True)
    if steps == 1:
        raise ValueError(
            "`gradient_accumulation_steps` must be at least 2, or None. "
            "Received: gradient_accumulation_steps=1"
        )


def check_groups(groups):
    """Returns a dictionary of `Group`s, or raises an error."""
    groups = {} if groups is None else groups
    if not isinstance(groups, dict) or not all(
        isinstance(group, Group) for group in groups.values()
    ):
        raise ValueError(
            "`groups` must be a dictionary from names to "
            f"`keras_capi.optimizers.Group`s. Received: groups={groups!r}"
        )
    return dict(groups)


def check_clipping(clip_norm, clip_scope):
    """Returns which gradients share a norm, or raises an error."""
    if clip_norm is not None:
        check_positive("clip_norm", clip_norm)
    if clip_scope in ("global", "tensor"):
        return clip_scope
    names = clip_scope if isinstance(clip_scope, list | tuple) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            '`clip_scope` must be "global", "tensor", or names of groups of '
            f"the model. Received: clip_scope={clip_scope!r}"
        )
    return list(names)
