import numpy as np

from keras_capi.validation import check_grid_size


def patch_pixels(masks, grid_size):
    """Cuts label masks into patches.

    Args:
        masks: Integer array of shape `(images, height, width)`.
        grid_size: Rows and columns of patches, which must divide height and
            width.

    Returns:
        Integer array of shape `(images * rows * columns, pixels)`.

    Raises:
        ValueError: If the grid does not divide the masks.

    Example:

    >>> masks = np.random.randint(0, 3, (2, 8, 8))
    >>> keras_capi.evaluation.patch_pixels(masks, (4, 4)).shape  # (32, 4)
    """
    masks = np.asarray(masks)
    rows, columns = check_grid_size(grid_size)
    if (
        masks.ndim != 3
        or masks.dtype.kind not in "iu"
        or masks.shape[1] % rows
        or masks.shape[2] % columns
    ):
        raise ValueError(
            "Masks must be integers of shape (images, height, width), height "
            "and width multiples of the rows and columns of the feature map. "
            f"Received: masks of shape {masks.shape} and {masks.dtype}, "
            f"feature map of {rows} x {columns} patches"
        )
    count, height, width = masks.shape
    cut = masks.reshape(count, rows, height // rows, columns, width // columns)
    return cut.swapaxes(2, 3).reshape(count * rows * columns, -1)
