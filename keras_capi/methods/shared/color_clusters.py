"""The colours that represent images best."""

import numpy as np

from keras_capi.layers.norms.channel_statistics import channel_statistics
from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_images
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

MOST_PIXELS = 2**20


def sample_colors(images, mean=None, standard_deviation=None, seed=0):
    """Returns pixels of images, from -1 for black to 1.

    Args:
        images: Array of shape `(count, height, width, channels)`: unsigned
            integers from 0 to 255, or normalised.
        mean: As for `keras_capi.layers.ColorPalette`.
        standard_deviation: The same.
        seed: Integer. Seed of drawing a million pixels, if there are more.

    Returns:
        Float32 array of shape `(pixels, channels)`.
    """
    check_seed("seed", seed, or_none=False)
    images = np.asarray(images)
    is_raw = images.dtype == np.uint8
    # Checked without copying all of them.
    check_images(
        images[:0].astype("float32") if is_raw else images,
        1,
        images.shape[-1] if images.ndim else 0,
    )
    count = images.shape[-1]
    mean, deviation = channel_statistics(mean, standard_deviation, count)
    pixels = images.reshape(-1, count)
    if len(pixels) > MOST_PIXELS:
        generator = np.random.default_rng(seed)
        pixels = pixels[generator.integers(0, len(pixels), MOST_PIXELS)]
    if is_raw:
        return pixels.astype("float32") / 127.5 - 1.0
    pixels = pixels.astype("float32") * np.float32(deviation)
    return 2.0 * (pixels + np.float32(mean)) - 1.0


def cluster_colors(colors, num_colors, seed=0):
    """Returns the centers found by k-means.

    Args:
        colors: Float array of shape `(pixels, channels)`.
        num_colors: Integer. Number of centers.
        seed: Integer.

    Returns:
        Float32 array of shape `(num_colors, channels)`.
    """
    check_positive_integer("num_colors", num_colors)
    num_different = len(np.unique(colors, axis=0))
    if num_different < num_colors:
        raise ValueError(
            "There must be at least `num_colors` different pixels. Received: "
            f"num_colors={num_colors}, {num_different} different pixels"
        )
    cluster = import_optional("sklearn.cluster", extra="evaluation")
    means = cluster.KMeans(num_colors, n_init=1, random_state=seed)
    return means.fit(colors).cluster_centers_.astype("float32")
