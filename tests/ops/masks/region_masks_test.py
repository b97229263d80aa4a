import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops.masks.region_masks import count_cells
from keras_capi.ops.masks.region_masks import first_of_size
from keras_capi.ops.masks.region_masks import region_masks
from keras_capi.ops.masks.region_masks import size_bounds


def cubic(x, a=-0.75):
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def enlarge(cells, phase, size, cell_size):
    """One axis of the published pattern, pixel by pixel."""
    pixels = []
    for pixel in range(size):
        position = 1 + phase + pixel / cell_size
        first = int(position) - 1
        pixels.append(
            sum(cubic(position - i) * cells[i] for i in range(first, first + 4))
        )
    return np.array(pixels)


@pytest.mark.parametrize("size", [(7, 12), (33, 9)])
def test_is_a_bicubic_enlargement(size):
    rng = np.random.default_rng(0)
    rows, columns = (count_cells(pixels, 4.0) for pixels in size)
    uniform = rng.random((3, rows * columns + 2), dtype="float32")
    masks = to_numpy(region_masks(uniform, size, 4.0, 0.4))
    assert masks.shape == (3, *size)
    for mask, numbers in zip(masks, uniform, strict=True):
        phases, cells = numbers[:2], numbers[2:]
        pattern = enlarge(cells.reshape(rows, columns), phases[0], size[0], 4.0)
        pattern = enlarge(pattern.T, phases[1], size[1], 4.0).T
        clear = np.abs(pattern - 0.4) > 1e-4
        np.testing.assert_array_equal(mask[clear], (pattern < 0.4)[clear])


def test_takes_the_first_that_fits():
    counts = [1, 9, 5, 4, 6]
    masks = np.arange(12) < np.array(counts)[:, None]
    masks = masks.reshape(-1, 3, 4)

    def taken(smallest, largest):
        return to_numpy(first_of_size(masks, smallest, largest)).sum()

    assert taken(4, 6) == 5
    assert taken(6, 9) == 9
    assert taken(1, 1) == 1
    # None fits: the closest.
    assert taken(7, 7) == 6
    assert taken(2, 2) == 1


def test_bounds_are_exclusive():
    assert size_bounds(3840, 0.25 - 0.05, 0.25 + 0.05) == (769, 1151)
    assert size_bounds(196, 0.2, 0.3) == (40, 58)
