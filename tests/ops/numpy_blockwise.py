"""BEiT's sampler of masks in plain NumPy, one image after the other."""

import math

import numpy as np


def sample_blockwise(
    generator,
    target,
    grid_size,
    min_area,
    max_area=math.inf,
    aspect_ratios=(0.3, 1 / 0.3),
    num_attempts=10,
):
    """Samples a Boolean mask of shape `(rows * columns,)`."""
    rows, columns = grid_size
    mask = np.zeros(grid_size, bool)
    while mask.sum() < target:
        room = min(target - mask.sum(), max_area)
        for _ in range(num_attempts):
            area = min_area + generator.random() * (room - min_area)
            bounds = (math.log(bound) for bound in aspect_ratios)
            aspect = math.exp(generator.uniform(*bounds))
            height = round(math.sqrt(area * aspect))
            width = round(math.sqrt(area / aspect))
            if height >= rows or width >= columns:
                continue
            top = generator.integers(0, rows - height, endpoint=True)
            left = generator.integers(0, columns - width, endpoint=True)
            block = mask[top : top + height, left : left + width]
            if 0 < (~block).sum() <= room:
                block[:] = True
                break
        else:
            break
    return mask.ravel()


def sample_many(count, *arguments, **keywords):
    """Samples the masks of `count` images, always the same ones."""
    generator = np.random.default_rng(0)
    return np.stack(
        [
            sample_blockwise(generator, *arguments, **keywords)
            for _ in range(count)
        ]
    )
