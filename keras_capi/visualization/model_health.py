from keras_capi.evaluation.clustering_health import clustering_health
from keras_capi.evaluation.clustering_health import feature_spread
from keras_capi.evaluation.healthy_ranges import feature_shares
from keras_capi.evaluation.healthy_ranges import health_shares
from keras_capi.evaluation.patch_features import patch_features

BATCH_SIZE = 64


def model_health(model, images, curves):
    """Measures what the health of a model can be told from.

    Of any method how features vary; of one with clusters how these are used; of
    one with prototypes the entropy of its targets, if a history has it.

    Args:
        model: A model of `keras_capi.methods`.
        images: Float array of shape `(samples, height, width, channels)`.
        curves: Dictionary from names to the values of each epoch.

    Returns:
        Tuple of two dictionaries of floats: those that have a healthy range,
        see `keras_capi.evaluation.healthy_ranges`, and all that was measured.
    """
    if hasattr(model, "clustering"):
        measures = clustering_health(
            model, images, min(len(images), BATCH_SIZE)
        )
        loss = curves.get("val_capi_loss") or curves.get("capi_loss") or [None]
        num_clusters = model.clustering.num_clusters
        return health_shares(measures, num_clusters, loss[-1]), measures
    measures = feature_spread(patch_features(model, images, BATCH_SIZE))
    if curves.get("target_entropy"):
        measures["target_entropy"] = curves["target_entropy"][-1]
    shares = feature_shares(
        measures,
        getattr(model, "num_prototypes", None),
        measures.get("target_entropy"),
    )
    return shares, measures
