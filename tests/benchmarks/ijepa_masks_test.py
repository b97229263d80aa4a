"""How the parity benchmark tells I-JEPA's masks from others."""

import numpy as np
import pytest

from benchmarks.replay import ijepa_masks
from keras_capi.layers import MultiBlockMasking

BATCH, NUM_BATCHES = 4, 250
NAMES = [f"8x9/batch_{BATCH}/{kind}" for kind in ijepa_masks.KINDS]


def sample(monkeypatch, **arguments):
    """Packed masks like those of a file."""
    monkeypatch.setattr(ijepa_masks, "NUM_BATCHES", NUM_BATCHES)
    masking = MultiBlockMasking((8, 9), **arguments)
    masks = ijepa_masks.draw(masking, BATCH, seed=1)
    monkeypatch.undo()
    return {
        name: np.packbits(masks[name.rpartition("/")[2]], axis=-1)
        for name in NAMES
    }


def judge(masks):
    judges = ijepa_masks.masks_judges(masks)
    return [judges[name](masks[name]) for name in NAMES]


def test_the_same_distribution(monkeypatch):
    masks = sample(monkeypatch)
    judges = ijepa_masks.masks_judges(masks)
    for name in NAMES:
        assert 0.1 < judges[name](masks[name]) < 0.95
        flipped = masks[name].copy()
        flipped[3, 0, 2] ^= 8
        behind = masks[name].copy()
        behind[3, 0, -1] |= 1
        for other in (flipped, behind, masks[name][1:]):
            assert judges[name](other) > 1, name


@pytest.mark.parametrize(
    "arguments, places",
    [
        # Blocks of other sizes.
        ({"block_aspect_ratio": (0.9, 1.1)}, [1]),
        ({"block_scale": (0.15, 0.17)}, [1]),
        # Contexts of other sizes.
        ({"context_scale": (0.6, 0.8)}, [0]),
        ({"allow_overlap": True}, [0]),
        ({"min_visible": 20}, [0]),
    ],
)
def test_other_distributions(monkeypatch, arguments, places):
    errors = judge(sample(monkeypatch, **arguments))
    for place in places:
        assert errors[place] > 1, errors
