import math

from keras_capi.evaluation.choices import choice_shares
from keras_capi.evaluation.clustering_health import clustering_health
from keras_capi.evaluation.clustering_health import feature_spread
from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.healthy_ranges import feature_shares
from keras_capi.evaluation.healthy_ranges import health_shares
from keras_capi.evaluation.patch_features import patch_features


def model_health(model, images, logs, batch_size=64):
    """Measures what the health of a model can be told from.

    Of any method how features vary, and what else it offers:

    - `clustering`: how CAPI's clusters are used;
    - `num_prototypes`: the entropy of its targets, if it is logged;
    - `predict_choices(images)`: whether its choices, among prototypes or
      colours, depend on the image;
    - `chance_losses(images)`: the losses of one that guesses, by the names of
      losses that are logged;
    - logs that have a healthy range of their own.

    Args:
        model: A model of `keras_capi.methods`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        logs: Dictionary of floats, the logs of an epoch. Those of validation
            data are taken if they are there.
        batch_size: Integer. So many are looked at together, or all if there are
            fewer. Defaults to `64`.

    Returns:
        Tuple of two dictionaries of floats: those that have a healthy range,
        see `keras_capi.evaluation.healthy_ranges`, and all that was measured.
    """
    batch_size = min(batch_size, len(images))

    def log(name):
        return logs.get(f"val_{name}", logs.get(name))

    if hasattr(model, "clustering"):
        measures = clustering_health(model, images, batch_size)
        num_clusters = model.clustering.num_clusters
        return health_shares(measures, num_clusters, log("capi_loss")), measures
    measures = feature_spread(patch_features(model, images, batch_size))
    if log("target_entropy") is not None:
        measures["target_entropy"] = log("target_entropy")
    shares = feature_shares(
        measures,
        getattr(model, "num_prototypes", None),
        measures.get("target_entropy"),
    )
    if hasattr(model, "predict_choices"):
        starts = range(0, len(images), batch_size)
        shares |= choice_shares(
            model.predict_choices(images[start : start + batch_size])
            for start in starts
        )
    if hasattr(model, "chance_losses"):
        for name, chance in model.chance_losses(images).items():
            if log(name) is not None:
                shares["chance_share"] = float(log(name)) / max(chance, 1e-12)
                measures["chance_bits"] = float(log(name)) / math.log(2)
    shares |= {k: float(log(k)) for k in HEALTHY if log(k) is not None}
    return shares, measures
