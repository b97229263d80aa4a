import numpy as np
import pytest
from helpers import make_images
from helpers import to_numpy

from keras_capi.layers import PairHead

FEATURES = make_images(2, 3, 5)[..., 0]
PAIRS = np.array([[[0, 1], [2, 0]], [[1, 1], [1, 2]]])


def normalized(x):
    x = x.reshape(-1, x.shape[-1])
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_scores_are_of_both_patches_in_order(normalize):
    head = PairHead((4, 6, 3), normalize)
    head.build((None, None, 5))
    scores = to_numpy(head(FEATURES, PAIRS, training=True))
    assert scores.shape == (2, 2, 8)
    kernels = [
        to_numpy(layer.kernel)
        for layer in (
            head.patch_layer,
            head.pair_layer,
            head.hidden_layer,
            head.score_layer,
        )
    ]
    norm = normalized if normalize else lambda x: x
    x = norm(FEATURES @ kernels[0]).reshape(2, 3, 4).clip(0)
    x = np.stack(
        [
            [np.concatenate([sample[i], sample[j]]) for i, j in pairs]
            for sample, pairs in zip(x, PAIRS, strict=True)
        ]
    )
    x = norm(x @ kernels[1]).reshape(2, 2, 6).clip(0)
    expected = (x @ kernels[2]).clip(0) @ kernels[3]
    np.testing.assert_allclose(scores, expected, atol=2e-5)


def test_normalization_cannot_be_undone():
    """No scale, no offset, and no bias that the mean would take away."""
    head = PairHead((4, 6, 3))
    head.build((None, None, 5))
    shapes = [tuple(v.shape) for v in head.trainable_variables]
    assert sorted(shapes) == [(3,), (3, 8), (5, 4), (6, 3), (8,), (8, 6)]


def test_evaluation_has_statistics_of_its_own():
    head = PairHead((4, 6, 3))
    head.build((None, None, 5))
    before = to_numpy(head(FEATURES, PAIRS, training=False))
    head(FEATURES, PAIRS, training=True)
    after = to_numpy(head(FEATURES, PAIRS, training=False))
    assert np.abs(after - before).max() > 1e-4
    alone = to_numpy(head(FEATURES[:1], PAIRS[:1], training=False))
    np.testing.assert_allclose(alone, after[:1], atol=1e-6)


def test_bad_widths():
    with pytest.raises(ValueError, match="`hidden_dims` must be three widths"):
        PairHead((4, 6))
