import numpy as np
from keras import ops

from keras_capi.validation import check_positive_integer


def cluster_usage(model, images, batch_size=64):
    """Measures how evenly a CAPI model uses its clusters.

    The entropy of the mean assignment is the least CAPI loss of a predictor
    that ignores the image: the model's own loss, from `evaluate`, should be
    well below. Perplexities are numbers of clusters: if one is near 1, the
    clustering has collapsed.

    Args:
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them, with at least `batch_size` samples.
        batch_size: Integer. Assignments are balanced over so many images, best
            as many as in training; a remainder is left out. Defaults to `64`.

    Returns:
        Dictionary of floats: `"mean_assignment_entropy"`, in nats,
        `"assigned_clusters"`, its exponential, and `"nearest_clusters"`, the
        perplexity of each patch's best cluster without balancing.

    Raises:
        ValueError: If there are fewer images than `batch_size`.

    Example:

    >>> usage = keras_capi.evaluation.cluster_usage(model, images)
    >>> loss = model.evaluate(images, return_dict=True)["capi_loss"]
    >>> learned = usage["mean_assignment_entropy"] - loss
    """
    check_positive_integer("batch_size", batch_size)
    if len(images) < batch_size:
        raise ValueError(
            "`images` must have at least `batch_size` samples. Received: "
            f"images.shape={tuple(images.shape)}, batch_size={batch_size}"
        )
    assigned = np.zeros(model.clustering.num_clusters)
    nearest = np.zeros(model.clustering.num_clusters)
    for start in range(0, len(images) - batch_size + 1, batch_size):
        feature_map = model.predict(
            images[start : start + batch_size],
            batch_size=batch_size,
            verbose=0,
        )["feature_map"]
        features = ops.reshape(
            feature_map, (batch_size, -1, feature_map.shape[-1])
        )
        assignments, _ = model.clustering(features)
        assigned += ops.convert_to_numpy(ops.sum(assignments, axis=(0, 1)))
        clusters = ops.argmax(model.clustering.logits(features), axis=-1)
        nearest += np.bincount(
            ops.convert_to_numpy(clusters).ravel(), minlength=len(nearest)
        )
    entropy = _entropy(assigned)
    return {
        "mean_assignment_entropy": entropy,
        "assigned_clusters": float(np.exp(entropy)),
        "nearest_clusters": float(np.exp(_entropy(nearest))),
    }


def _entropy(counts):
    shares = counts[counts > 0] / np.sum(counts)
    return float(-np.sum(shares * np.log(shares)))
