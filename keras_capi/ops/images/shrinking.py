"""Matrices that shrink an axis of an image and enlarge it again."""

import math

import numpy as np

# Reach of the Gaussian, in standard deviations.
REACH = 4.0


def shrinking_matrix(size, small_size):
    """Returns the matrix that resizes an axis to a smaller size, and back.

    This removes details. It uses linear interpolation, after a Gaussian filter
    where an axis shrinks, as `skimage.transform.resize` does.

    Args:
        size: Integer. Pixels of the axis.
        small_size: Integer. Pixels of the smaller size.

    Returns:
        Float64 array of shape `(size, size)`, from pixels to pixels.
    """
    return resizing_matrix(small_size, size) @ resizing_matrix(size, small_size)


def resizing_matrix(size, new_size):
    """Returns the matrix that resizes an axis.

    Args:
        size: Integer. Pixels of the axis.
        new_size: Integer. Pixels of the result.

    Returns:
        Float64 array of shape `(new_size, size)`.
    """
    places = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    below = np.floor(places).astype(int)
    share = places - below
    matrix = np.zeros((new_size, size))
    rows = np.arange(new_size)
    np.add.at(matrix, (rows, _mirror(below, size)), 1.0 - share)
    np.add.at(matrix, (rows, _mirror(below + 1, size)), share)
    deviation = (size / new_size - 1.0) / 2.0
    return (
        matrix @ _gaussian_matrix(size, deviation) if deviation > 0 else matrix
    )


def _gaussian_matrix(size, deviation):
    reach = math.floor(REACH * deviation + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * np.square(offsets / deviation))
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        np.add.at(matrix, (rows, _mirror(rows + offset, size)), weight)
    return matrix


def _mirror(indices, size):
    """Reflects indices beyond the ends at the centres of the last pixels."""
    if size == 1:
        return np.zeros_like(indices)
    return size - 1 - np.abs(indices % (2 * size - 2) - (size - 1))
