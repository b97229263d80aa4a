import numpy as np

from keras_capi.optional_imports import import_optional
from keras_capi.visualization.check_pictures import check_pictures
from keras_capi.visualization.to_rgb import to_rgb


def picture_grid(columns, titles=None):
    """Draws pictures and maps of the same images side by side.

    Args:
        columns: Dictionary from heading to a list of arrays, one for each
            image. Arrays of shape `(height, width, 3)` are pictures, uint8 or
            floats in [0, 1]; arrays of shape `(rows, columns)` are drawn as
            brightness, with one scale for the whole column. Of more than three
            channels the first three are drawn, of fewer the first, in grey. The
            first column defines the proportions.
        titles: List of strings, one for each image, or `None`. Defaults to
            `None`.

    Returns:
        A `matplotlib.figure.Figure` with a row for each image, to save with
        `savefig`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the lists are empty or differ in length, or if pictures
            have other values, as those of normalised images.

    Example:

    >>> maps = keras_capi.visualization.attention_maps(model.teacher, images)
    >>> figure = keras_capi.visualization.picture_grid(
    ...     {"image": pictures, "predictor": maps["predictor"]}
    ... )
    >>> figure.savefig("attention.png")
    """
    figure_module = import_optional("matplotlib.figure", extra="demo")
    columns = {heading: list(column) for heading, column in columns.items()}
    counts = [len(column) for column in columns.values()]
    if not counts or not counts[0]:
        raise ValueError(
            "`columns` must have one or more, with an array for each image. "
            f"Received: columns={columns}"
        )
    titles = [""] * counts[0] if titles is None else list(titles)
    if len({*counts, len(titles)}) != 1:
        raise ValueError(
            "All columns, and the titles, must have the same length. "
            f"Received: lengths {counts}, {len(titles)} titles"
        )
    pictures = [x for column in columns.values() for x in column if x.ndim > 2]
    for picture in pictures:
        check_pictures(picture)
    figure = figure_module.Figure(
        figsize=(2.4 * len(columns), 2.4 * len(titles)), layout="constrained"
    )
    grid = figure.subplots(len(titles), len(columns), squeeze=False)
    for axes_column, (heading, column) in zip(
        grid.T, columns.items(), strict=True
    ):
        scale = {}
        if column[0].ndim == 2:
            scale = {"vmin": 0, "vmax": max(x.max() for x in column)}
        for axes, picture, first in zip(
            axes_column, column, next(iter(columns.values())), strict=True
        ):
            # All are stretched to the extent of the image, patch over patch.
            height, width = first.shape[:2]
            axes.imshow(
                picture if picture.ndim == 2 else to_rgb(picture),
                extent=(0, width, height, 0),
                interpolation="nearest",
                **scale,
            )
            axes.set_axis_off()
        axes_column[0].set_title(heading)
    for axes, title in zip(grid[:, 0], titles, strict=True):
        if title:
            axes.set_title(title)
    return figure


def scale_to_unit(images):
    """Scales images to [0, 1], as they were before their normalisation."""
    images = np.asarray(images, "float32")
    low, high = images.min(), images.max()
    return (images - low) / max(high - low, 1e-12)
