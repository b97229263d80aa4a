"""The colours that colourisation chooses from."""

import numpy as np

from keras_capi.validation import check_choice

STEP = 10
# The first and last b for each a from -90 to 100.
PUBLISHED = (
    *((50, 90), (20, 90), (0, 90), (-20, 90), (-30, 100), (-40, 100)),
    *((-50, 100), (-50, 100), (-60, 100), (-70, 100), (-80, 90), (-80, 90)),
    *((-90, 90), (-100, 90), (-100, 80), (-110, 80), (-110, 80), (-110, 70)),
    *((-110, 70), (-90, 0)),
)
GAMUT = (
    *((80, 80), (40, 80), (20, 90), (0, 90), (-20, 90), (-30, 90)),
    *((-40, 90), (-40, 90), (-50, 90), (-60, 90), (-70, 80), (-70, 80)),
    *((-80, 80), (-90, 80), (-90, 70), (-100, 70), (-110, 70), (-110, 70)),
    *((-90, 0), (-70, -50)),
)
KINDS = {"published": PUBLISHED, "gamut": GAMUT}


def color_bins(kind="published"):
    """Returns the bins of a colour lattice that occur in pictures.

    Args:
        kind: String. `"published"`: the authors' 313 bins, which are among the
            five nearest of some picture's colours. `"gamut"`: the 261 bins that
            are the nearest to some displayable colour. For training from
            scratch, these do as well. Defaults to `"published"`.

    Returns:
        Float32 array of shape `(bins, 2)`: a and b of CIE Lab in steps of 10,
        sorted by a, then b.

    Raises:
        ValueError: If the kind is unknown.

    Example:

    >>> keras_capi.ops.color_bins().shape  # (313, 2)

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), section
      2.1
    """
    check_choice("kind", kind, KINDS)
    bins = [
        (a, b)
        for a, (first, last) in zip(
            range(-90, 101, STEP), KINDS[kind], strict=True
        )
        for b in range(first, last + 1, STEP)
    ]
    return np.array(bins, "float32")
