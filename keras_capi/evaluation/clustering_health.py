import numpy as np
from keras import ops

from keras_capi.evaluation.clustered_features import clustered_features
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

# A prototype is dead if its soft share of the patches is below this fraction of
# an even share.
DEAD = 1e-4


def clustering_health(model, images, batch_size=64, seed=0):
    """Measures whether the features or clusters of a CAPI model collapsed.

    Clusters are measured before balancing, which would hide a collapse, except
    where balanced assignments are mentioned.

    Args:
        model: `keras_capi.models.CAPI`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        batch_size: Integer. Assignments are balanced over this many images, or
            all if there are fewer: best use the batch size of training. A
            remainder is left out. Defaults to `64`.
        seed: Integer. Seed of the permutation that measures the effect of
            chance. Defaults to `0`.

    Returns:
        Dictionary of floats:
        - `"usage_entropy"`: entropy of the clusters nearest to all patches, in
          nats.
        - `"usage_perplexity"`: its exponential, an effective number of
          clusters.
        - `"usage_share"`: that number as a share of all clusters, or of the
          patches if these are fewer.
        - `"dead_prototypes"`: number of clusters that hardly any patch chooses.
        - `"target_entropy"`: mean entropy of the balanced assignments, in nats.
        - `"mean_assignment_entropy"`: entropy of the mean balanced assignment:
          the lowest CAPI loss of a predictor that ignores the image.
        - `"feature_deviation"`: standard deviation of the patch features over
          images and positions, relative to their root mean square; 0 if all
          are equal.
        - `"effective_rank"`: exponential of the entropy of the singular values
          of the centred patch features (RankMe): an effective number of
          dimensions.
        - `"positional_information"`: mutual information of the nearest cluster
          and the position of the patch, less what chance gives, as a share of
          the entropy of the clusters. 1 if the position alone decides.

    Raises:
        ValueError: If there are no images, or the model has no clusters.

    Example:

    >>> health = keras_capi.evaluation.clustering_health(model, images)
    >>> health["usage_perplexity"]

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.2 (positional
      collapse)
    - [RankMe](https://arxiv.org/abs/2210.02885)
    """
    check_positive_integer("batch_size", batch_size)
    check_seed("seed", seed, or_none=False)
    batch_size = min(batch_size, len(images))
    if not batch_size:
        raise ValueError(
            "`images` must have at least one sample. Received: "
            f"images.shape={tuple(images.shape)}"
        )
    features, nearest, soft, assigned, entropies = [], [], [], [], []
    for start in range(0, len(images) - batch_size + 1, batch_size):
        batch = images[start : start + batch_size]
        patches = clustered_features(model, batch, batch_size)
        patches = np.reshape(patches, (batch_size, -1, patches.shape[-1]))
        logits = model.clustering.logits(ops.convert_to_tensor(patches))
        assignments = model.clustering.assign(logits)
        features.append(patches)
        nearest.append(ops.convert_to_numpy(ops.argmax(logits, axis=-1)))
        probabilities = ops.softmax(
            logits / model.clustering.prediction_temperature, axis=-1
        )
        soft.append(_mean(probabilities))
        assigned.append(_mean(assignments))
        entropies.append(_mean(-assignments * ops.log(assignments + 1e-12)))
    nearest = np.concatenate(nearest)
    usage_entropy = entropy(np.bincount(nearest.ravel()))
    soft = np.mean(soft, axis=0)
    return {
        "usage_entropy": usage_entropy,
        "usage_perplexity": float(np.exp(usage_entropy)),
        "usage_share": float(
            np.exp(usage_entropy) / min(len(soft), nearest.size)
        ),
        "dead_prototypes": float(np.sum(soft < DEAD / len(soft))),
        "target_entropy": float(np.sum(np.mean(entropies, axis=0))),
        "mean_assignment_entropy": entropy(np.mean(assigned, axis=0)),
        **feature_spread(np.concatenate(features)),
        "positional_information": positional_information(nearest, seed),
    }


def feature_spread(features):
    """Measures how much features vary, and in how many dimensions.

    Args:
        features: Float array of shape `(..., width)`.

    Returns:
        Dictionary of floats: `"feature_deviation"` and `"effective_rank"`, see
        `clustering_health`.
    """
    features = np.reshape(features, (-1, features.shape[-1])).astype("float64")
    scale = np.sqrt(np.mean(features**2))
    features = features - features.mean(axis=0)
    deviation = np.sqrt(np.mean(features**2)) / max(scale, 1e-12)
    covariance = features.T @ features
    singular_values = np.sqrt(np.clip(np.linalg.eigvalsh(covariance), 0, None))
    return {
        "feature_deviation": float(deviation),
        "effective_rank": float(np.exp(entropy(singular_values))),
    }


def positional_information(clusters, seed=0):
    """Returns the share of the clusters' entropy that positions explain.

    The entropy at each position is compared with that of shuffled patches, to
    correct for the effect of few images.

    Args:
        clusters: Integer array of shape `(images, positions)`.
        seed: Integer. Seed of the permutation.

    Returns:
        Float: 1 if the position alone decides, about 0 if it has no influence.
    """
    clusters = np.asarray(clusters)
    shuffled = np.random.default_rng(seed).permutation(clusters.ravel())
    shuffled = shuffled.reshape(clusters.shape)
    within = [
        np.mean([entropy(np.bincount(column)) for column in columns.T])
        for columns in (clusters, shuffled)
    ]
    return float(1.0 - within[0] / within[1]) if within[1] else 0.0


def entropy(counts):
    """Returns the entropy, in nats, of counts or unnormalised shares."""
    counts = np.asarray(counts, "float64")
    counts = counts[counts > 0]
    if not counts.size:
        return 0.0
    shares = counts / np.sum(counts)
    return float(-np.sum(shares * np.log(shares)))


def _mean(values):
    return ops.convert_to_numpy(ops.mean(values, axis=(0, 1)))
