import math

from keras_capi.evaluation.choices import choice_shares
from keras_capi.evaluation.clustering_health import clustering_health
from keras_capi.evaluation.clustering_health import feature_spread
from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.healthy_ranges import feature_shares
from keras_capi.evaluation.healthy_ranges import health_shares


def model_health(model, images, logs, batch_size=64):
    """Measures the health of a model, of any method.

    For all methods, how much features vary. Further measures depend on what the
    model has:

    - `clustering`: how CAPI's clusters are used;
    - `num_prototypes`: the entropy of the targets, if it is logged;
    - `choose_prototypes(features)`, for features of whole images, or
      `predict_choices(images)`, for colours: whether the choices depend on the
      image;
    - `chance_losses(images)`: the losses of guessing, by the names of the
      logged losses to compare them with;
    - any logs that have a healthy range themselves.

    Args:
        model: A model of `keras_capi.methods`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        logs: Dictionary of floats, the logs of an epoch. Those of validation
            data are preferred.
        batch_size: Integer. Number of images that are measured together, or all
            if there are fewer. Defaults to `64`.

    Returns:
        Tuple of two dictionaries of floats: the measures that have a healthy
        range, see `keras_capi.evaluation.healthy_ranges`, and all measures.
    """
    batch_size = min(batch_size, len(images))

    def log(name):
        return logs.get(f"val_{name}", logs.get(name))

    if hasattr(model, "clustering"):
        measures = clustering_health(model, images, batch_size)
        num_clusters = model.clustering.num_clusters
        return health_shares(measures, num_clusters, log("capi_loss")), measures
    features = model.predict(images, batch_size=batch_size, verbose=0)
    measures = feature_spread(features["feature_map"])
    if log("target_entropy") is not None:
        measures["target_entropy"] = log("target_entropy")
    shares = feature_shares(
        measures,
        getattr(model, "num_prototypes", None),
        measures.get("target_entropy"),
    )
    for name, chosen_by in (
        ("choose_prototypes", features["global"]),
        ("predict_choices", images),
    ):
        if hasattr(model, name):
            shares |= choice_shares(
                getattr(model, name)(chosen_by[start : start + batch_size])
                for start in range(0, len(images), batch_size)
            )
    if hasattr(model, "chance_losses"):
        for name, chance in model.chance_losses(images).items():
            if log(name) is not None:
                shares["chance_share"] = float(log(name)) / max(chance, 1e-12)
                measures["chance_bits"] = float(log(name)) / math.log(2)
    shares |= {k: float(log(k)) for k in HEALTHY if log(k) is not None}
    return shares, measures
