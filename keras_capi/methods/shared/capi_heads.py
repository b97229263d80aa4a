"""What CAPI's student has behind its predictor, and what it is compared to."""

import keras

from keras_capi.layers.targets.patch_targets import PatchTargets
from keras_capi.training.built_part import built_part


def check_targets(clustering):
    """Raises a `ValueError` unless it is something to predict, or `None`."""
    if clustering is not None and not isinstance(clustering, PatchTargets):
        raise ValueError(
            "`clustering` must be a `keras_capi.layers.OnlineClustering`, "
            "`DistilledTargets`, `LatentTargets` or None. "
            f"Received: {type(clustering).__name__}"
        )


def check_num_clusters(num_clusters, clustering):
    """Raises a `ValueError` unless a number is that of what is predicted."""
    if num_clusters != clustering.num_clusters:
        raise ValueError(
            "`num_clusters` must be that of `clustering`, or be left out. "
            f"Received: num_clusters={num_clusters}, "
            f"clustering.num_clusters={clustering.num_clusters}"
        )


def make_head(backbone, targets, projection, dtype):
    """Returns the head, and builds it and the projection in front of it.

    Args:
        backbone: `keras_capi.encoders.CAPIBackbone`.
        targets: `keras_capi.layers.PatchTargets`.
        projection: Layer or `None`.
        dtype: Of the head.
    """
    width = backbone.predictor.hidden_dim
    head = targets.make_head(
        backbone.hidden_dim, width, dtype=dtype, name="prototype_head"
    )
    if projection is not None:
        tokens = keras.KerasTensor((None, None, width))
        built_part("projection", projection, tokens.shape)
        width = projection.compute_output_spec(tokens).shape[-1]
    head.build((None, None, width))
    return head


def apply_heads(projection, head, features):
    """Returns what a head makes of features, projected or as they are."""
    return head(features if projection is None else projection(features))
