"""The published sampler of masks in plain NumPy, and tests of distributions."""

import math

import numpy as np


def sample_block(
    generator,
    area,
    grid_size,
    min_aspect_ratio=0.5,
    max_aspect_ratio=2.0,
    roll=True,
):
    """Samples a block of `area` patches for one image.

    Args:
        generator: NumPy generator.
        area: Integer.
        grid_size: Tuple of two integers, rows and columns.
        min_aspect_ratio: Float.
        max_aspect_ratio: Float.
        roll: Boolean.

    Returns:
        Boolean array of shape `(rows * columns,)`.
    """
    rows, columns = grid_size
    lowest = max(math.log(min_aspect_ratio), math.log(area / columns**2))
    highest = min(math.log(max_aspect_ratio), math.log(rows**2 / (area + 1e-5)))
    aspect_ratio = math.exp(generator.uniform(lowest, highest))
    height = math.ceil(math.sqrt(area * aspect_ratio))
    width = math.ceil(math.sqrt(area / aspect_ratio))
    top = generator.integers(0, rows - height, endpoint=True)
    left = generator.integers(0, columns - width, endpoint=True)
    block = np.zeros(height * width, bool)
    block[:area] = True
    mask = np.zeros(grid_size, bool)
    mask[top : top + height, left : left + width] = block.reshape(height, width)
    if roll:
        shift = (generator.integers(0, rows), generator.integers(0, columns))
        mask = np.roll(mask, shift, axis=(0, 1))
    return mask.ravel()


def sample_blocks(count, seed, *arguments, **keywords):
    """Samples the blocks of `count` images, one after the other."""
    generator = np.random.default_rng(seed)
    return np.stack(
        [sample_block(generator, *arguments, **keywords) for _ in range(count)]
    )


def sides(masks, grid_size):
    """Heights and widths of blocks, wherever they have been rolled to."""
    masks = masks.reshape(-1, *grid_size)
    return np.stack(
        [masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)], axis=1
    )


def from_indices(indices, num_patches):
    """Boolean masks of shape `(batch, num_patches)`, true at the indices."""
    masks = np.zeros((len(indices), num_patches), bool)
    np.put_along_axis(masks, np.asarray(indices), True, axis=1)
    return masks


def check_indices(outputs, masking, grid_size):
    """Fails unless visible and predicted patches are as many as they should.

    Args:
        outputs: Dictionary of integer arrays, what a masking returned.
        masking: The masking.
        grid_size: Tuple of two integers.
    """
    num_patches = grid_size[0] * grid_size[1]
    num_masked = int(num_patches * masking.mask_ratio)
    num_predict = int(num_masked * masking.prediction_ratio)
    visible, predict = outputs["visible_indices"], outputs["predict_indices"]
    assert visible.shape[1:] == (num_patches - num_masked,)
    assert predict.shape[1:] == (num_predict,)
    assert visible.dtype == predict.dtype == np.int32
    picked = np.sort(np.concatenate([visible, predict], axis=1), axis=1)
    assert picked.min() >= 0 and picked.max() < num_patches
    assert (np.diff(picked, axis=1) > 0).all(), "a patch was picked twice"


def score_of_chi_square(statistic, degrees_of_freedom):
    """Standard score of a chi-square statistic (Wilson and Hilferty)."""
    spread = 2 / (9 * degrees_of_freedom)
    mean = 1 - spread
    cube_root = (statistic / degrees_of_freedom) ** (1 / 3)
    return (cube_root - mean) / math.sqrt(spread)


def score_of_frequencies(counts, probabilities):
    """How unlikely counts are, as a standard score; above 4 is no chance."""
    expected = counts.sum() * np.asarray(probabilities)
    assert expected.min() > 5, "too few samples for a chi-square test"
    statistic = np.sum((counts - expected) ** 2 / expected)
    return score_of_chi_square(statistic, counts.size - 1)


def score_of_difference(first, second):
    """How unlikely it is that two samples come from one distribution.

    Args:
        first: Array of shape `(samples, values)`; equal rows are one outcome.
        second: Likewise, of any number of samples.

    Returns:
        Standard score of a chi-square test. Above 4 is no chance.
    """
    both = np.concatenate([first, second])
    # Rows as bytes: much faster to compare than `axis=0`.
    rows = np.ascontiguousarray(both)
    rows = rows.view(f"V{rows.shape[1] * rows.itemsize}")[:, 0]
    _, outcomes = np.unique(rows, return_inverse=True)
    number = outcomes.max() + 1
    counts = np.stack(
        [
            np.bincount(outcomes[: len(first)], minlength=number),
            np.bincount(outcomes[len(first) :], minlength=number),
        ]
    )
    # Rare outcomes count as one.
    is_rare = counts.sum(axis=0) < 20
    rare = counts[:, is_rare].sum(axis=1, keepdims=True)
    counts = np.concatenate([counts[:, ~is_rare], rare], axis=1)
    counts = counts[:, counts.sum(axis=0) >= 20]
    ratio = math.sqrt(len(second) / len(first))
    difference = counts[0] * ratio - counts[1] / ratio
    statistic = np.sum(difference**2 / counts.sum(axis=0))
    return score_of_chi_square(statistic, counts.shape[1] - 1)
