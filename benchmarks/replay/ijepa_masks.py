"""Whether masks in batches may come from I-JEPA's sampler."""

import re

import numpy as np
from keras import ops

import keras_capi
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.masks import LIMIT
from benchmarks.replay.weights import to_numpy

# What a file calls its masks, before the kind: rows, columns, and how many
# images a batch has.
STEM = re.compile(r"(\d+)x(\d+)/batch_(\d+)")
KINDS = ("context", "prediction")
# Of our sampler, against which the file's are compared.
NUM_BATCHES = 4_000
PART = 250


def masks_judges(sampled):
    """Returns functions that judge the packed masks of a file.

    Args:
        sampled: Dictionary from names such as `"14x14/batch_8/context"` to
            packed bits of shape `(count, blocks, bytes)`; images of a batch
            follow each other. Of each sample there are both kinds.

    Returns:
        Dictionary from the same names to functions from packed masks to their
        error, in units of `LIMIT` standard errors.
    """
    stems = sorted({name.rpartition("/")[0] for name in sampled})
    return {
        f"{stem}/{kind}": judge
        for stem in stems
        for kind, judge in _judges_of(stem, sampled).items()
    }


def _judges_of(stem, sampled):
    match = STEM.fullmatch(stem)
    if match is None:
        raise ValueError(f"masks must be named like {STEM.pattern}: {stem}")
    *grid_size, batch_size = map(int, match.groups())
    both = {kind: sampled[f"{stem}/{kind}"] for kind in KINDS}
    masking = keras_capi.layers.MultiBlockMasking(
        tuple(grid_size),
        num_blocks=both["prediction"].shape[1],
        num_contexts=both["context"].shape[1],
        seed=0,
    )
    ours = draw(masking, batch_size)
    return {
        kind: _judge(kind, both, ours[kind], masking, batch_size)
        for kind in KINDS
    }


def draw(masking, batch_size, seed=0):
    """Draws many batches at once.

    Returns:
        Dictionary from kind to Boolean masks of shape `(count, blocks,
        patches)`, contexts cut as a call of the masking cuts them.
    """
    generator = np.random.default_rng(seed)
    count = NUM_BATCHES * batch_size
    sizes = generator.random((NUM_BATCHES, 2), "float32")
    numbers = (
        np.repeat(sizes, batch_size, axis=0),
        generator.random((count, masking.numbers_per_image), "float32"),
    )
    contexts, blocks = masking.place(
        *map(ops.convert_to_tensor, numbers), masking.grid_size
    )
    contexts = _in_batches(to_numpy(contexts), batch_size)
    shortest = contexts.sum(axis=-1).min(axis=(1, 2))
    contexts &= contexts.cumsum(axis=-1) <= shortest[:, None, None, None]
    return {
        "context": contexts.reshape(count, *contexts.shape[2:]),
        "prediction": to_numpy(blocks),
    }


def _judge(kind, both, ours, masking, batch_size):
    """Returns a function; `both` are the packed masks of a file."""
    num_patches = masking.grid_size[0] * masking.grid_size[1]
    measured = _summaries(_in_batches(ours, batch_size))

    def judge(packed):
        if packed.dtype != np.uint8 or packed.shape != both[kind].shape:
            return DIFFERENT
        masks = {
            name: _unpack(packed if name == kind else other, num_patches)
            for name, other in both.items()
        }
        valid = (_contexts_fit if kind == "context" else _blocks_fit)(
            masks, masking, batch_size
        )
        if not valid:
            return DIFFERENT
        theirs = _summaries(_in_batches(masks[kind], batch_size))
        return (
            max(
                _deviation(summary, expected)
                for summary, expected in zip(theirs, measured, strict=True)
            )
            / LIMIT
        )

    return judge


def _unpack(packed, num_patches):
    """Boolean masks; of none if there are bits behind the patches."""
    bits = np.unpackbits(packed, axis=-1).astype(bool)
    return bits[..., : 0 if bits[..., num_patches:].any() else num_patches]


def _in_batches(masks, batch_size):
    count = len(masks) // batch_size * batch_size
    return masks[:count].reshape(-1, batch_size, *masks.shape[1:]).astype(bool)


def _possible_rectangles(sides, grid_size):
    """All rectangles that do not touch the last row and column."""
    rows, columns = np.indices(grid_size).reshape(2, -1)
    rectangles = [
        (rows >= top)
        & (rows < top + height)
        & (columns >= left)
        & (columns < left + width)
        for height, width in sides
        for top in range(grid_size[0] - height)
        for left in range(grid_size[1] - width)
    ]
    return np.stack(rectangles)


def _blocks_fit(masks, masking, batch_size):
    """Whether all are such rectangles, of one size in a batch."""
    blocks = masks["prediction"]
    sides, _ = masking.possible_sides(masking.grid_size)
    possible = _possible_rectangles(sides, masking.grid_size)
    if blocks.shape[-1] != possible.shape[-1]:
        return False
    known = {rectangle.tobytes() for rectangle in possible}
    flat = blocks.reshape(-1, blocks.shape[-1]).astype(bool)
    if not {mask.tobytes() for mask in flat} <= known:
        return False
    shaped = _in_batches(blocks, batch_size)
    shaped = shaped.reshape(-1, *masking.grid_size)
    lengths = np.stack(
        [shaped.any(axis=2).sum(axis=1), shaped.any(axis=1).sum(axis=1)]
    )
    per_batch = lengths.reshape(2, len(blocks) // batch_size, -1)
    return (per_batch == per_batch[..., :1]).all()


def _contexts_fit(masks, masking, batch_size):
    """Whether all are the first patches of a rectangle without the blocks."""
    contexts, blocks = (
        masks[name].astype(bool) for name in ("context", "prediction")
    )
    _, sides = masking.possible_sides(masking.grid_size)
    possible = _possible_rectangles(sides, masking.grid_size)
    if not contexts.shape[-1] == blocks.shape[-1] == possible.shape[-1]:
        return False
    counts = contexts.sum(axis=-1)
    per_batch = counts.reshape(len(counts) // batch_size, -1)
    if not (per_batch == per_batch[:, :1]).all() or not counts.all():
        return False
    fits, is_whole = np.zeros((2, *counts.shape), bool)
    # Not all blocks are left out where a context would be too small.
    for num_hidden in range(blocks.shape[1], -1, -1):
        free = ~blocks[:, :num_hidden].any(axis=1)[:, None]
        for rectangle in possible:
            whole = rectangle & free
            size = whole.sum(axis=-1)
            first = whole & (whole.cumsum(axis=-1) <= counts[..., None])
            same = (first == contexts).all(axis=-1)
            fits |= same
            is_whole |= same & (size == counts)
    whole_ones = is_whole.reshape(per_batch.shape).any(axis=1)
    return fits.all() and whole_ones.all()


def _patches(masks):
    return masks.mean(axis=(1, 2))


def _pairs(masks):
    flat = masks.reshape(len(masks), -1, masks.shape[-1]).astype("float32")
    first, second = np.triu_indices(masks.shape[-1], 1)
    return (flat.swapaxes(1, 2) @ flat)[:, first, second] / flat.shape[1]


def _sizes(masks):
    """How often a mask has so many patches."""
    sizes = masks.sum(axis=-1)[..., None] == np.arange(masks.shape[-1])
    return sizes.mean(axis=(1, 2))


def _common(masks):
    """How often two blocks of an image have so many patches in common."""
    masks = masks.astype("float32")
    common = masks @ masks.swapaxes(-1, -2)
    first, second = np.triu_indices(masks.shape[2], 1)
    common = common[..., first, second]
    if not common.shape[-1]:
        return np.zeros((len(masks), 1))
    hits = common[..., None] == np.arange(masks.shape[-1])
    return hits.mean(axis=(1, 2))


# What is measured of each batch.
STATISTICS = (_patches, _pairs, _sizes, _common)


def _summaries(batches):
    """Number, sums and sums of squares over batches, of each statistic."""
    # In parts, as there are many pairs.
    parts = np.array_split(batches, len(batches) // PART + 1)
    summaries = []
    for statistic in STATISTICS:
        total = squares = 0.0
        for part in parts:
            values = statistic(part).astype("float64")
            total = total + values.sum(axis=0)
            squares = squares + np.square(values).sum(axis=0)
        summaries.append((len(batches), total, squares))
    return summaries


def _deviation(one, other):
    """How many standard errors the means of two samples are apart."""
    (n, total, squares), (m, others, other_squares) = one, other
    mean = (total + others) / (n + m)
    variance = (squares + other_squares) / (n + m) - np.square(mean)
    # The last part is for what is too rare for a normal distribution.
    error = np.sqrt(variance.clip(0) * (1 / n + 1 / m) + 0.25 / n**2)
    return float((np.abs(total / n - others / m) / error).max())
