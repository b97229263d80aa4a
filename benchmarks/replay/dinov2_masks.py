"""Masks of DINOv2's sampler, by itself and in batches."""

import numpy as np

import keras_capi
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.masks import LIMIT
from benchmarks.replay.varied_masks import draw_masks
from benchmarks.replay.varied_masks import varied_masks_judge

LOW, HIGH, SHARE = 0.1, 0.5, 0.5
# So many patches always get a block.
FEWEST = 4
# Views of a batch.
BATCH_SIZE = 40
KINDS = {"generator": 1.0, "collate": SHARE}


def sampled_masks(arrays):
    """Returns the judges of a file's masks.

    Args:
        arrays: Dictionary, in which names such as `generator_14x14/masks` tell
            how they were drawn: each of a number of patches that stands beside
            them, or in batches of 40, of which half have a mask.
    """
    judges = {}
    for name, theirs in arrays.items():
        kind, _, grid = name.removesuffix("/masks").partition("_")
        if not (name.endswith("/masks") and kind in KINDS):
            continue
        grid = tuple(int(size) for size in grid.split("x"))
        masking = keras_capi.layers.StratifiedMasking(
            mask_ratio=(LOW, HIGH), masked_share=KINDS[kind], seed=0
        )
        num_patches = grid[0] * grid[1]
        sizes = set(range(int(HIGH * num_patches) + 1))
        judge = varied_masks_judge(draw_masks(masking, grid), sizes)
        if kind == "collate":
            judge = _both(judge, _judge_batches(num_patches))
        else:
            requested = name.replace("masks", "requested")
            judge = _both(judge, _judge_sizes(arrays.get(requested)))
            judges[requested] = _judge_requests(theirs, num_patches)
        judges[name] = judge
    return judges


def _both(*judges):
    return lambda values: max(judge(values) for judge in judges)


def _sizes(packed):
    return np.unpackbits(packed, axis=-1).sum(axis=-1, dtype=int)


def _judge_sizes(requested):
    """Masks are never larger than they should be, and hardly smaller."""

    def judge(packed):
        if requested is None or len(requested) != len(packed):
            return DIFFERENT
        short = requested - _sizes(packed)
        return 0.0 if short.min() >= 0 and short.mean() < 1.0 else DIFFERENT

    return judge


def _judge_requests(packed, num_patches):
    """All numbers of patches between the bounds are asked for as often."""

    def judge(requested):
        if requested.shape != packed.shape[:1] or requested.dtype.kind != "i":
            return DIFFERENT
        if (requested < _sizes(packed)).any():
            return DIFFERENT
        edges = np.arange(int(LOW * num_patches), int(HIGH * num_patches) + 2)
        if requested.min() < edges[0] or requested.max() >= edges[-1]:
            return DIFFERENT
        shares = np.clip(edges / num_patches, LOW, HIGH)
        expected = (shares - LOW) / (HIGH - LOW)
        below = (requested[:, None] < edges).mean(axis=0)
        allowed = np.sqrt(expected * (1 - expected) / len(requested))
        difference = np.abs(below - expected)
        return float((difference / np.maximum(allowed, 1e-3)).max() / LIMIT)

    return judge


def _judge_batches(num_patches):
    """Half of each batch has masks, each of another part of the range."""
    count = int(BATCH_SIZE * SHARE)
    bounds = np.linspace(LOW, HIGH, count + 1)[1:]

    def judge(packed):
        if len(packed) % BATCH_SIZE:
            return DIFFERENT
        sizes = np.sort(_sizes(packed).reshape(-1, BATCH_SIZE), axis=1)
        if sizes[:, :-count].any():
            return DIFFERENT
        if LOW * num_patches >= FEWEST and not sizes[:, -count:].all():
            return DIFFERENT
        within = sizes[:, -count:] <= (bounds * num_patches).astype(int)
        return 0.0 if within.all() else DIFFERENT

    return judge
