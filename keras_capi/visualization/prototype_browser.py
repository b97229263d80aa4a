import numpy as np
from keras import ops

from keras_capi.evaluation.clustered_features import check_clusters
from keras_capi.evaluation.clustered_features import clustered_features
from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_integers
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer
from keras_capi.visualization.check_pictures import check_pictures
from keras_capi.visualization.picture_grid import scale_to_unit
from keras_capi.visualization.to_rgb import to_rgb


def nearest_patches(model, images, num_patches=8, batch_size=64):
    """Finds the best patches of each cluster, at most one from each image.

    Args:
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        num_patches: Integer, at most `samples`. Patches for each cluster.
            Defaults to `8`.
        batch_size: Integer. Defaults to `64`.

    Returns:
        Int32 array of shape `(clusters, num_patches, 3)`: image, row and column
        of each patch, best first.

    Raises:
        ValueError: If there are fewer images than `num_patches`, or the model
            has no clusters.

    Example:

    >>> patches = keras_capi.visualization.nearest_patches(model, images)
    >>> image, row, column = patches[0, 0]
    """
    check_positive_integer("num_patches", num_patches)
    check_positive_integer("batch_size", batch_size)
    check_clusters(model)
    if len(images) < num_patches:
        raise ValueError(
            "There must be an image for each of `num_patches`. Received: "
            f"{len(images)} images, num_patches={num_patches}"
        )
    best, places = [], []
    for start in range(0, len(images), batch_size):
        features = clustered_features(
            model, images[start : start + batch_size], batch_size
        )
        rows, columns = features.shape[1:3]
        features = features.reshape(len(features), rows * columns, -1)
        logits = model.clustering.logits(ops.convert_to_tensor(features))
        best.append(ops.convert_to_numpy(ops.max(logits, axis=1)))
        places.append(ops.convert_to_numpy(ops.argmax(logits, axis=1)))
    best, places = np.concatenate(best), np.concatenate(places)
    order = np.argsort(-best, axis=0, kind="stable")[:num_patches]
    place = np.take_along_axis(places, order, axis=0)
    patches = np.stack([order, *np.divmod(place, columns)], axis=-1)
    return patches.swapaxes(0, 1).astype("int32")


def cut_patches(pictures, places, patch_size, context=1):
    """Cuts patches out of pictures, with their surroundings.

    Args:
        pictures: uint8 array, or floats in [0, 1], of shape `(samples, height,
            width, 3)`.
        places: Integer array of shape `(count, 3)`: image, row and column.
        patch_size: Integer, pixels.
        context: Integer. Patches to show on each side. They are white beyond
            the picture. Defaults to `1`.

    Returns:
        Array of shape `(count, size, size, 3)`.
    """
    pictures = np.asarray(pictures)
    margin = context * patch_size
    padding = ((margin, margin), (margin, margin), (0, 0))
    white = 255 if pictures.dtype == "uint8" else 1.0
    window = 2 * margin + patch_size
    cuttings = []
    for image, row, column in places:
        padded = np.pad(pictures[image], padding, constant_values=white)
        top, left = row * patch_size, column * patch_size
        cuttings.append(padded[top : top + window, left : left + window])
    return np.stack(cuttings)


def prototype_browser(
    model, images, pictures=None, clusters=None, num_patches=8, context=1
):
    """Draws the best patches of each cluster, from a data set.

    This is the quickest way to see what the clusters stand for.

    Args:
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        pictures: The images as they are drawn: uint8 array, or floats in [0,
            1], of shape `(samples, height, width, 3)`. `None` scales `images`
            to that range. Defaults to `None`.
        clusters: Sequence of integers: the clusters to draw. `None` is the
            first 16. Defaults to `None`.
        num_patches: Integer. Patches for each cluster, from different images.
            Defaults to `8`.
        context: Integer. Patches to show on each side of a patch, which is
            framed. Defaults to `1`.

    Returns:
        A `matplotlib.figure.Figure` with a row for each cluster, to save with
        `savefig`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there are fewer images than `num_patches`, `pictures` are
            not as many or of another size or range, or a cluster does not
            exist.

    Example:

    >>> figure = keras_capi.visualization.prototype_browser(model, images)
    >>> figure.savefig("prototypes.png")
    """
    figure_module = import_optional("matplotlib.figure", extra="demo")
    patches_module = import_optional("matplotlib.patches", extra="demo")
    check_positive_integer("num_patches", num_patches)
    check_non_negative_integer("context", context)
    check_clusters(model)
    num_clusters = model.clustering.num_clusters
    if clusters is None:
        clusters = range(min(16, num_clusters))
    clusters = check_integers("clusters", clusters)
    are_known = all(0 <= cluster < num_clusters for cluster in clusters)
    if not clusters or not are_known:
        raise ValueError(
            "`clusters` must be one or more from 0 to "
            f"{num_clusters - 1}. "
            f"Received: clusters={clusters}"
        )
    if pictures is None:
        pictures = scale_to_unit(images)
    if np.shape(pictures)[:3] != np.shape(images)[:3]:
        raise ValueError(
            "`pictures` must be as many as `images`, and of their size. "
            f"Received: pictures.shape={np.shape(pictures)}, "
            f"images.shape={np.shape(images)}"
        )
    pictures = to_rgb(check_pictures(pictures))
    found = nearest_patches(model, images, num_patches)
    size = model.student.patch_size
    margin = context * size
    figure = figure_module.Figure(
        figsize=(0.8 * num_patches + 1, 0.8 * len(clusters)),
        layout="constrained",
    )
    grid = figure.subplots(len(clusters), num_patches, squeeze=False)
    for axes_row, cluster in zip(grid, clusters, strict=True):
        cuttings = cut_patches(pictures, found[cluster], size, context)
        for axes, cutting in zip(axes_row, cuttings, strict=True):
            axes.imshow(cutting)
            axes.add_patch(
                patches_module.Rectangle(
                    (margin - 0.5, margin - 0.5), size, size, fill=False, ec="w"
                )
            )
            axes.set(xticks=(), yticks=())
        axes_row[0].set_ylabel(str(cluster), rotation=0, ha="right")
    return figure
