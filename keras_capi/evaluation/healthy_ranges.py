"""Healthy ranges of the measures of features and clusters, and advice."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Range:
    """The healthy range of a measure, and what values outside it mean."""

    low: float
    high: float
    cause: str
    remedy: str


# Gains and entropies are given as shares of the logarithm of the number of
# clusters or prototypes.
HEALTHY = {
    "dead_prototypes": Range(
        0,
        0,
        "some prototypes are chosen by no patch, so that fewer clusters teach",
        "fewer clusters, a higher clustering learning rate, or more images in "
        "a batch",
    ),
    "usage_share": Range(
        0.1,
        1.0,
        "nearly all patches are nearest to a few clusters",
        "a lower learning rate or a higher moving-average momentum, so that "
        "the clusters can follow the teacher",
    ),
    "target_entropy_share": Range(
        0.0,
        0.9,
        "the targets are nearly uniform: the clusters do not tell patches "
        "apart",
        "a lower `target_temperature`, or more steps if training has just "
        "begun; look at the feature deviation too",
    ),
    "feature_deviation": Range(
        0.1,
        math.inf,
        "all patches have nearly the same features",
        "a lower learning rate with a longer warm-up, and images that are "
        "normalised and not all alike",
    ),
    "effective_rank": Range(
        5.0,  # small failed trainings ended at 4.2 to 4.5, good ones above 10
        math.inf,
        "features vary in very few dimensions",
        "a lower learning rate or less weight decay, and more clusters if "
        "the method has some",
    ),
    "prototype_entropy_share": Range(
        0.001,  # a small training that learned ended at 0.014
        0.98,
        "the teacher says the same of all images: near 0 it has chosen one "
        "prototype, near 1 it shares each image out to all",
        "near 0 a higher `teacher_temperature`, near 1 a lower one (SwAV: a "
        "lower `epsilon`) or more steps; in both cases a lower learning rate "
        "and a longer warm-up",
    ),
    "used_choices": Range(
        2.0,
        math.inf,
        "nearly all images have the same prototype or colour",
        "a lower learning rate and a longer warm-up; where targets are "
        "centered, a `center_momentum` of 0.9",
    ),
    "choice_information_share": Range(
        0.02,  # at 0.01 a training without a center had collapsed
        1.0,
        "the choice among prototypes or colours hardly depends on the image",
        "more steps if training has just begun; a lower learning rate and a "
        "longer warm-up",
    ),
    "center_drift": Range(
        0.001,
        1.5,
        "the center of the teacher's scores stands still, or jumps",
        "a `center_momentum` of 0.9, and a lower learning rate",
    ),
    "chance_share": Range(
        0.0,
        0.98,
        "the model predicts no better than by chance",
        "more steps, another learning rate, or images that have what is to be "
        "predicted",
    ),
    "contrastive_accuracy": Range(
        0.04,  # in batches of 64: 0.06 and more, with too high a rate 0.03
        1.0,
        "views of an image are hardly found among those of others",
        "more steps, another learning rate, or weaker changes in the views",
    ),
    "positional_information": Range(
        -math.inf,
        0.5,
        "the position of a patch decides its cluster, not what it shows",
        "`positionwise=True` in the clustering, random crops, and masking "
        "that rolls",
    ),
    "prediction_gain_share": Range(
        0.0,
        1.0,
        "the student predicts no better than if it did not look at the image",
        "more steps, a lower mask ratio or fewer clusters; a higher learning "
        "rate if the loss does not move",
    ),
}


def health_shares(measures, num_clusters, capi_loss=None):
    """Returns the measures of a CAPI model that have a healthy range.

    Args:
        measures: Dictionary from `keras_capi.evaluation.clustering_health`.
        num_clusters: Integer.
        capi_loss: Float, the loss on the validation data if there is any.
            `None` leaves out the prediction gain. Defaults to `None`.

    Returns:
        Dictionary of floats, by the keys of `HEALTHY`.
    """
    shares = {
        "dead_prototypes": measures["dead_prototypes"],
        "usage_share": measures["usage_share"],
        "target_entropy_share": share_of_most(
            measures["target_entropy"], num_clusters
        ),
        "feature_deviation": measures["feature_deviation"],
        "effective_rank": measures["effective_rank"],
        "positional_information": measures["positional_information"],
    }
    if capi_loss is not None:
        gain = measures["mean_assignment_entropy"] - float(capi_loss)
        shares["prediction_gain_share"] = share_of_most(gain, num_clusters)
    return shares


def feature_shares(measures, num_prototypes=None, target_entropy=None):
    """Returns the measures with a healthy range, for methods without clusters.

    Args:
        measures: Dictionary with `"feature_deviation"` and
            `"effective_rank"`.
        num_prototypes: Integer or `None`. Number of prototypes of the method's
            targets, if it has any. Defaults to `None`.
        target_entropy: Float or `None`. Mean entropy of the targets, in nats.
            Defaults to `None`.

    Returns:
        Dictionary of floats, by the keys of `HEALTHY`.
    """
    shares = {
        name: measures[name] for name in ("feature_deviation", "effective_rank")
    }
    if num_prototypes is not None and target_entropy is not None:
        shares["prototype_entropy_share"] = share_of_most(
            target_entropy, num_prototypes
        )
    return shares


def share_of_most(information, count):
    """Returns information as a share of the most that a choice can carry.

    Args:
        information: Float, in nats.
        count: Integer. Number of options of the choice.

    Returns:
        Float: 0 if there is only one option, which carries no information.
    """
    return float(information) / math.log(count) if count > 1 else 0.0


def is_healthy(name, value):
    """Returns whether a measure is within its healthy range."""
    return HEALTHY[name].low <= value <= HEALTHY[name].high
