import sys

import numpy as np
import pytest

from keras_capi.data import sample_photos


def test_photos():
    photos = sample_photos()
    assert len(photos) == 10
    assert list(photos) == sorted(photos)
    assert photos["chelsea"].shape == (300, 451, 3)
    for photo in photos.values():
        assert photo.dtype == np.uint8
        assert photo.ndim == 3 and photo.shape[-1] == 3
        # In colour.
        assert np.ptp(photo.astype("int32"), axis=-1).mean() > 1


def test_shorter_side():
    photos = sample_photos(shorter_side=40)
    assert all(min(photo.shape[:2]) == 40 for photo in photos.values())
    assert photos["chelsea"].shape == (40, 60, 3)


@pytest.mark.parametrize("package", ["skimage", "sklearn"])
def test_missing_package_names_the_extra(monkeypatch, package):
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}.*keras-capi\[demo\]"):
        sample_photos()
