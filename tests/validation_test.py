"""Checks of arguments that several parts of the package share."""

import numpy as np
import pytest

import keras_capi
from keras_capi.validation import check_choice


def test_choices():
    check_choice("kind", "first", ("first", "second"))
    check_choice("kind", None, ("first", "second"), or_none=True)
    for value in (None, "third", 1, ["first"], {"first": 1}, np.array(["a"])):
        with pytest.raises(ValueError, match="`kind` .* 'first', 'second'. R"):
            check_choice("kind", value, ("first", "second"))
        if value is not None:
            with pytest.raises(ValueError, match="'second' or None. Received"):
                check_choice("kind", value, ("first", "second"), or_none=True)


@pytest.mark.parametrize(
    "function, argument",
    [
        (keras_capi.layers.Corruption, "kind"),
        (keras_capi.layers.MultiCrop, "interpolation"),
        (keras_capi.ops.color_bins, "kind"),
    ],
)
def test_a_list_is_no_choice(function, argument):
    # Though the choices are the keys of a dictionary.
    with pytest.raises(ValueError, match=f"`{argument}` must be one of"):
        function(**{argument: ["none"]})
