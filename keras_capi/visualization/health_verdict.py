"""A verdict on the measures of a model's health, in plain words."""

import math

from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.healthy_ranges import is_healthy

# Their titles on a page, and their explanations.
MEASURES = {
    "feature_deviation": (
        "feature deviation",
        "standard deviation of patch features, relative to their size",
    ),
    "effective_rank": (
        "effective rank",
        "dimensions in which patch features vary",
    ),
    "prototype_entropy_share": (
        "entropy of the targets",
        "of the teacher's choice among the prototypes, as a share of the most "
        "there can be",
    ),
    "choice_information_share": (
        "information of the choices",
        "what the choice among prototypes or colours tells of the image, as a "
        "share of the most there can be",
    ),
    "used_choices": (
        "choices",
        "perplexity of the likeliest prototypes or colours",
    ),
    "chance_share": (
        "loss against chance",
        "as a share of the loss of a model that guesses",
    ),
    "contrastive_accuracy": (
        "views found",
        "how often a view finds the other one of its image first",
    ),
    "center_drift": (
        "center drift",
        "how far the center of the scores moved since the last look, as a "
        "share of its norm",
    ),
    "usage_share": (
        "usage",
        "perplexity of the clusters nearest to patches, as a share of all",
    ),
    "dead_prototypes": (
        "dead prototypes",
        "clusters that hardly any patch would choose",
    ),
    "positional_information": (
        "positional information",
        "share of the clusters' entropy that a patch's position explains",
    ),
    "target_entropy_share": (
        "target entropy",
        "of the balanced assignments, as a share of the most there can be",
    ),
    "prediction_gain_share": (
        "prediction gain",
        "what the student gains by looking at the image, as a share of the "
        "most there can be",
    ),
}

# Notes with the number behind a share.
NOTES = {
    "usage_share": ("usage_perplexity", "{:.1f} clusters"),
    "target_entropy_share": ("target_entropy", "{:.2f} nats"),
    "prototype_entropy_share": ("target_entropy", "{:.2f} nats"),
    "chance_share": ("chance_bits", "{:.2f} bits"),
}


def health_verdict(shares):
    """Tells whether a model is healthy, or what is wrong and what helps.

    Args:
        shares: Dictionary from
            `keras_capi.evaluation.healthy_ranges`.

    Returns:
        Dictionary: `"healthy"`, a Boolean, and `"sentences"`, a list of
        strings.
    """
    # In the order above: if features do not vary, nothing else means much.
    wrong = [
        name
        for name in MEASURES
        if name in shares and not is_healthy(name, shares[name])
    ]
    if not wrong:
        sentence = f"Healthy: all {len(shares)} measures are in their ranges."
        # For methods with clusters, whose loss has a level to compare with.
        if "usage_share" in shares and "prediction_gain_share" not in shares:
            sentence += " Without a history, nothing is said of the loss."
        return {"healthy": True, "sentences": [sentence]}
    return {
        "healthy": False,
        "sentences": [
            f"Not healthy: {HEALTHY[name].cause} ({MEASURES[name][0]} is "
            f"{_number(shares[name])}, healthy is {_range(name)}). What "
            f"usually helps: {HEALTHY[name].remedy}."
            for name in wrong
        ],
    }


def describe_measures(shares, measures):
    """Returns what a page says about each measure, as a dictionary each.

    Args:
        shares: Dictionary, as above.
        measures: Dictionary of all measures: numbers to add to the shares.
    """
    notes = {
        name: note.format(measures[measure])
        for name, (measure, note) in NOTES.items()
        if measure in measures
    }
    return [
        {
            "name": title,
            "value": _number(shares[name]),
            "note": notes.get(name, ""),
            "range": _range(name),
            "healthy": is_healthy(name, shares[name]),
            "meaning": meaning,
        }
        for name, (title, meaning) in MEASURES.items()
        if name in shares
    ]


def _number(value):
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2g}"


def _range(name):
    low, high = HEALTHY[name].low, HEALTHY[name].high
    if low == high:
        return f"{low:g}"
    # Shares are at most 1, and few measures are below 0.
    if high in (1.0, math.inf):
        return f"{low:g} or more"
    if low in (0.0, -math.inf):
        return f"{high:g} or less"
    return f"{low:g} to {high:g}"
