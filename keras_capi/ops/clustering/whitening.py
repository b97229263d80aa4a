"""Whitening: principal components scaled to equal variance."""

import numpy as np
from keras import ops

from keras_capi.ops.finite import check_finite
from keras_capi.validation import check_positive_integer

# Directions with a smaller share of the largest variance are rounding errors.
SMALLEST_SHARE = 1e-12


def fit_whitening(features, num_components):
    """Fits a whitening: principal components of equal variance.

    The whitened features are `features @ matrix.T + offset`. Their mean is 0,
    and the squares of each component sum to 1 over all samples: multiply by
    `sqrt(samples)` for a variance of 1.

    Args:
        features: Float array of shape `(samples, width)`.
        num_components: Integer, at most `width`. Number of components to keep:
            those with the largest variance.

    Returns:
        Tuple of the matrix, of shape `(num_components, width)`, the offset, of
        shape `(num_components,)`, and the sums of squares of all components
        before they are whitened, in descending order, of shape `(width,)`: all
        float32 arrays.

    Raises:
        ValueError: If `num_components` is larger than the width, or a feature
            is not finite.

    Example:

    >>> features = np.random.normal(size=(100, 8))
    >>> matrix, offset, _ = keras_capi.ops.fit_whitening(features, 3)
    >>> whitened = features @ matrix.T + offset

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520), section 3.4
    """
    check_positive_integer("num_components", num_components)
    width = features.shape[1]
    if num_components > width:
        raise ValueError(
            "`num_components` must be at most the width of the features. "
            f"Received: num_components={num_components}, width={width}"
        )
    if not isinstance(features, np.ndarray):
        # It would copy an array, which may fill half of the memory.
        features = ops.convert_to_numpy(features)
    mean = np.mean(features, axis=0, dtype="float64")
    check_finite("features", mean)
    centered = features - mean
    squares, directions = np.linalg.eigh(centered.T @ centered)
    # In ascending order.
    squares, directions = squares[::-1], directions[:, ::-1]
    kept = squares[:num_components]
    kept = np.maximum(kept, SMALLEST_SHARE * max(kept[0], SMALLEST_SHARE))
    matrix = (directions[:, :num_components] / np.sqrt(kept)).T
    return tuple(x.astype("float32") for x in (matrix, -matrix @ mean, squares))
