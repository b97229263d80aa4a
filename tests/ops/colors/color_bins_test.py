import numpy as np
import pytest

from keras_capi.ops import color_bins


def test_bins_of_pictures():
    published, gamut = (
        set(map(tuple, color_bins(kind))) for kind in ("published", "gamut")
    )
    assert (len(published), len(gamut)) == (313, 261)
    assert gamut < published
    bins = color_bins()
    np.testing.assert_array_equal(bins, sorted(bins.tolist()))
    assert not (bins % 10).any()


def test_no_such_kind():
    with pytest.raises(ValueError, match="`kind` must be one of"):
        color_bins("all")
