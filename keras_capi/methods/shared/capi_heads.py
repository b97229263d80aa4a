"""CAPI's heads behind the predictor, and the targets they are compared to."""

import keras

from keras_capi.layers.targets.patch_targets import PatchTargets
from keras_capi.training.built_part import built_part


def check_targets(clustering):
    """Raises a `ValueError` unless it makes targets, or is `None`."""
    if clustering is not None and not isinstance(clustering, PatchTargets):
        raise ValueError(
            "`clustering` must be a `keras_capi.layers.OnlineClustering`, "
            "`DistilledTargets`, `LatentTargets` or None. "
            f"Received: {type(clustering).__name__}"
        )


def check_num_clusters(num_clusters, clustering):
    """Raises a `ValueError` unless the number is that of the targets."""
    if num_clusters != clustering.num_clusters:
        raise ValueError(
            "`num_clusters` must be that of `clustering`, or be left out. "
            f"Received: num_clusters={num_clusters}, "
            f"clustering.num_clusters={clustering.num_clusters}"
        )


def make_head(backbone, targets, projection, dtype):
    """Returns a built head, and builds the projection in front of it.

    Args:
        backbone: `keras_capi.encoders.CAPIBackbone`.
        targets: `keras_capi.layers.PatchTargets`.
        projection: Layer or `None`.
        dtype: The data type or policy of the head.
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
    """Applies the projection, if there is one, and the head to features."""
    return head(features if projection is None else projection(features))
