import numpy as np

from keras_capi.evaluation.clustering_health import clustering_health


def cluster_usage(model, images, batch_size=64):
    """Measures how evenly a CAPI model uses its clusters.

    The entropy of the mean assignment is the lowest CAPI loss that a predictor
    can reach without looking at the image. The model's own loss, from
    `evaluate`, should be well below it. The other two are effective numbers of
    clusters: if one is near 1, the clustering has collapsed.

    Args:
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        batch_size: Integer. Assignments are balanced over this many images, or
            all if there are fewer: best use the batch size of training. A
            remainder is left out. Defaults to `64`.

    Returns:
        Dictionary of floats: `"mean_assignment_entropy"`, in nats,
        `"assigned_clusters"`, its exponential, and `"nearest_clusters"`, the
        perplexity of each patch's best cluster without balancing.

    Raises:
        ValueError: If there are no images, or the model has no clusters.

    Example:

    >>> usage = keras_capi.evaluation.cluster_usage(model, images)
    >>> loss = model.evaluate(images, return_dict=True)["capi_loss"]
    >>> learned = usage["mean_assignment_entropy"] - loss
    """
    health = clustering_health(model, images, batch_size)
    entropy = health["mean_assignment_entropy"]
    return {
        "mean_assignment_entropy": entropy,
        "assigned_clusters": float(np.exp(entropy)),
        "nearest_clusters": health["usage_perplexity"],
    }
