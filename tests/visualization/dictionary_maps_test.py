import numpy as np
import pytest

from keras_capi.visualization import dictionary_maps


def test_finds_the_parts():
    generator = np.random.default_rng(0)
    # Each patch has one of three directions, which are not orthogonal.
    atoms = generator.normal(size=(3, 12)) + 0.5
    kinds = generator.choice(3, p=(0.5, 0.3, 0.2), size=(2, 10, 12))
    features = atoms[kinds] + 0.01 * generator.normal(size=(2, 10, 12, 12))
    maps = np.stack(dictionary_maps(features, num_atoms=3))
    assert maps.shape == (2, 10, 12, 3)
    assert maps.dtype == "float32"
    assert (maps >= 0).all()
    totals = maps.sum(axis=(0, 1, 2))
    assert (np.diff(totals) <= 0).all()
    # The strongest atom tells the kind.
    strongest = maps.argmax(axis=-1)
    for kind in range(3):
        counts = np.bincount(strongest[kinds == kind], minlength=3)
        assert counts.max() / counts.sum() > 0.95


def test_sizes_may_differ():
    generator = np.random.default_rng(0)
    maps = [generator.normal(size=(*n, 6)) for n in ((4, 5), (3, 3))]
    shapes = [x.shape for x in dictionary_maps(maps, 2)]
    assert shapes == [(4, 5, 2), (3, 3, 2)]


def test_bad_input():
    with pytest.raises(ValueError, match="`feature_maps` must be arrays"):
        dictionary_maps([np.zeros((4, 5))])
