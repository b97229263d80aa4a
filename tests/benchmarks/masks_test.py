"""How the parity benchmark tells samples of masks apart."""

import numpy as np
import pytest

from benchmarks.replay.masks import masks_judge
from benchmarks.replay.masks import unpack

PATCHES, MASKED = 36, 21


def uniform(seed, count=1000):
    noise = np.random.default_rng(seed).random((count, PATCHES))
    return noise.argsort(axis=1).argsort(axis=1) >= PATCHES - MASKED


def packed(masks):
    return np.packbits(masks, axis=1)


@pytest.fixture(scope="module")
def judge():
    return masks_judge(uniform(0, 10_000), [MASKED])


def test_unpacks():
    masks = uniform(1, 5)
    np.testing.assert_array_equal(unpack(packed(masks), PATCHES), masks)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_same_distribution(judge, seed):
    assert 0.2 < judge(packed(uniform(seed))) < 0.9


def one_flipped(masks):
    masks[7, 3] ^= True
    return masks


def one_twice(masks):
    masks[7] = masks[8]
    return masks


def one_patch_more_often(masks):
    """In a quarter of the masks, another patch is shown for the first one."""
    for mask in masks[:250]:
        if not mask[0]:
            mask[np.flatnonzero(mask)[0]] = False
            mask[0] = True
    return masks


def blocks(masks):
    """Neighbours are masked together, and each patch as often as before."""
    starts = np.arange(len(masks)) % PATCHES
    cells = (np.arange(PATCHES) - starts[:, None]) % PATCHES
    return cells < MASKED


def stuck(masks):
    """Each mask keeps most of the one before it."""
    order = np.random.default_rng(0).permutation(PATCHES)
    return blocks(masks)[:, order]


HARM = [
    one_flipped,
    one_twice,
    one_patch_more_often,
    blocks,
    stuck,
    np.logical_not,
    lambda masks: masks[:, :-1],
    lambda masks: np.pad(masks, ((0, 0), (0, 4)), constant_values=True),
]


@pytest.mark.parametrize("harm", HARM, ids=range(len(HARM)))
def test_others(judge, harm):
    assert judge(packed(harm(uniform(1)))) > 1.0


def test_what_is_no_packed_mask(judge):
    for values in (
        uniform(1),
        packed(uniform(1)).astype("int64"),
        packed(uniform(1))[0],
        packed(uniform(1))[:0],
    ):
        assert judge(values) > 1.0


def test_our_own_masks_are_judged_too():
    theirs = packed(uniform(1))
    for ours in (one_flipped(uniform(0)), one_twice(uniform(0))):
        assert masks_judge(ours, [MASKED])(theirs) > 1.0
