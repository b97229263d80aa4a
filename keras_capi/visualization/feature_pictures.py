import numpy as np

from keras_capi.optional_imports import import_optional
from keras_capi.visualization.picture_grid import picture_grid


def principal_components(feature_maps, like=None):
    """Colours patches by their first three principal components.

    The components are computed over all patches of all images, so that equal
    colours mean similar features in different images, too.

    Args:
        feature_maps: List of arrays of shape `(rows, columns, width)`, one for
            each image. Sizes may differ, `width` must not.
        like: An earlier result for the same images, from other features, or
            `None`. The sign of each component, which is otherwise arbitrary, is
            chosen to agree with it. Defaults to `None`.

    Returns:
        List of float32 arrays of shape `(rows, columns, 3)` in [0, 1]: red is
        the first component.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If the feature maps do not have these shapes.

    Example:

    >>> feature_maps = [np.random.rand(8, 10, 32), np.random.rand(6, 6, 32)]
    >>> colors = principal_components(feature_maps)
    >>> colors[0].shape  # (8, 10, 3)
    """
    decomposition = import_optional("sklearn.decomposition", extra="demo")
    feature_maps = check_feature_maps(feature_maps)
    shapes = [x.shape for x in feature_maps]
    patches = np.concatenate([x.reshape(-1, x.shape[-1]) for x in feature_maps])
    # The solver squares them: a large mean would hide small differences.
    patches = patches - patches.mean(axis=0)
    pca = decomposition.PCA(n_components=3, svd_solver="covariance_eigh")
    # Without any variance, the explained shares are 0 / 0.
    with np.errstate(invalid="ignore"):
        # It needs three; each three times has the same components.
        pca.fit(patches if len(patches) > 2 else np.tile(patches, (3, 1)))
    components = pca.transform(patches)
    if like is not None:
        before = np.concatenate([np.reshape(x, (-1, 3)) for x in like])
        before = before - before.mean(axis=0)
        components *= np.where(np.sum(components * before, axis=0) < 0, -1, 1)
    # Percentiles: a few outliers would leave little contrast for the rest.
    low, high = np.percentile(components, (1, 99), axis=0)
    # Components of a thousandth of the largest are rounding errors.
    smallest = max(1e-3 * np.max(high - low), 1e-12)
    colors = (components - low) / np.maximum(high - low, smallest)
    colors = np.clip(colors, 0, 1).astype("float32")
    ends = np.cumsum([rows * columns for rows, columns, _ in shapes])
    return [
        part.reshape(rows, columns, 3)
        for part, (rows, columns, _) in zip(
            np.split(colors, ends[:-1]), shapes, strict=True
        )
    ]


def feature_pictures(images, feature_maps, cluster_maps=None):
    """Draws images side by side with their features and clusters.

    For features of any model. Each row shows an image, the first three
    principal components of its patches as red, green and blue, and, if given,
    its clusters, each in its own colour.

    Args:
        images: Dictionary from title to array of shape `(height, width, 3)`,
            uint8 or floats in [0, 1], or a list of such arrays.
        feature_maps: List of arrays of shape `(rows, columns, width)`, one for
            each image.
        cluster_maps: List of integer arrays of shape `(rows, columns)`, or
            `None`. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`, to save with `savefig`.

    Raises:
        ImportError: If matplotlib or scikit-learn is not installed.
        ValueError: If the lists differ in length, or if `images` have other
            values, as those of normalised images.

    Example:

    >>> images = np.random.rand(2, 64, 64, 3).astype("float32")
    >>> feature_maps = model.predict(images)["feature_map"]
    >>> figure = keras_capi.visualization.feature_pictures(images, feature_maps)
    >>> figure.savefig("features.png")
    """
    titles = list(images) if isinstance(images, dict) else None
    columns = {"": images.values() if isinstance(images, dict) else images}
    columns["principal components"] = principal_components(feature_maps)
    if cluster_maps is not None:
        columns["clusters"] = color_clusters(cluster_maps)
    return picture_grid(columns, titles)


def color_clusters(cluster_maps):
    """Gives each cluster a colour that differs from those of its neighbours.

    Args:
        cluster_maps: List of integer arrays of shape `(rows, columns)`.

    Returns:
        List of float arrays of shape `(rows, columns, 3)` in [0, 1].
    """
    colors = import_optional("matplotlib.colors", extra="demo")
    cluster_maps = [np.asarray(x) for x in cluster_maps]
    clusters = np.unique(np.concatenate([x.ravel() for x in cluster_maps]))
    # Steps of the golden ratio spread any number of hues evenly.
    hues = np.arange(len(clusters)) * 0.618034 % 1.0
    values = 1.0 - 0.4 * (np.arange(len(clusters)) % 3) / 2
    palette = colors.hsv_to_rgb(
        np.stack([hues, np.full_like(hues, 0.7), values], axis=-1)
    )
    return [palette[np.searchsorted(clusters, x)] for x in cluster_maps]


def check_feature_maps(feature_maps):
    """Returns feature maps as a list of arrays, or raises a `ValueError`."""
    feature_maps = [np.asarray(x, "float32") for x in feature_maps]
    shapes = [x.shape for x in feature_maps]
    if (
        not shapes
        or any(len(shape) != 3 for shape in shapes)
        or len({shape[-1] for shape in shapes}) != 1
        or shapes[0][-1] < 3
    ):
        raise ValueError(
            "`feature_maps` must be arrays of shape (rows, columns, width), "
            "with one width, of at least 3, for all. "
            f"Received: shapes {shapes}"
        )
    return feature_maps
