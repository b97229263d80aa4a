import pytest

from keras_capi.evaluation.healthy_ranges import HEALTHY
from keras_capi.evaluation.healthy_ranges import feature_shares
from keras_capi.evaluation.healthy_ranges import health_shares
from keras_capi.visualization.health_verdict import MEASURES
from keras_capi.visualization.health_verdict import describe_measures
from keras_capi.visualization.health_verdict import health_verdict

MEASURED = {
    "dead_prototypes": 0.0,
    "usage_perplexity": 12.3,
    "usage_share": 0.4,
    "target_entropy": 1.0,
    "mean_assignment_entropy": 2.7,
    "feature_deviation": 0.8,
    "effective_rank": 20.0,
    "positional_information": 0.1,
}


def shares(loss=None, **changes):
    return health_shares({**MEASURED, **changes}, 16, loss)


def test_healthy():
    verdict = health_verdict(shares(2.0))
    assert verdict["healthy"]
    assert verdict["sentences"] == [
        "Healthy: all 7 measures are in their ranges."
    ]
    (sentence,) = health_verdict(shares())["sentences"]
    assert "all 6" in sentence and "Without a history" in sentence


@pytest.mark.parametrize(
    "name, value",
    [
        ("dead_prototypes", 3.0),
        ("usage_share", 0.02),
        ("feature_deviation", 0.01),
        ("effective_rank", 1.5),
        ("positional_information", 0.9),
        ("feature_deviation", float("nan")),
    ],
)
def test_what_is_wrong_and_what_helps(name, value):
    verdict = health_verdict(shares(2.0, **{name: value}))
    assert not verdict["healthy"]
    (sentence,) = verdict["sentences"]
    assert HEALTHY[name].cause in sentence
    assert HEALTHY[name].remedy in sentence
    assert MEASURES[name][0] in sentence


def test_one_cluster_alone():
    """Its targets are certain, and there is nothing to tell or to gain."""
    nothing = {"target_entropy": 0.0, "mean_assignment_entropy": 0.0}
    found = health_shares({**MEASURED, **nothing}, 1, 1e-7)
    assert found["target_entropy_share"] == 0.0
    assert found["prediction_gain_share"] == 0.0
    assert health_verdict(found)["healthy"]
    (sentence,) = health_verdict(feature_shares(MEASURED, 1, 0.0))["sentences"]
    assert "near 0 it has chosen one prototype" in sentence


def test_a_student_that_learned_nothing():
    (sentence,) = health_verdict(shares(2.75))["sentences"]
    assert "no better than if it did not look" in sentence


def test_all_measures_are_described():
    described = describe_measures(shares(2.0), MEASURED)
    others = describe_measures(
        {
            **feature_shares(MEASURED, 16, MEASURED["target_entropy"]),
            "used_choices": 8.0,
            "choice_information_share": 0.3,
            "center_drift": 0.6,
            "chance_share": 0.5,
            "contrastive_accuracy": 0.7,
        },
        {**MEASURED, "chance_bits": 1.0},
    )
    names = {measure["name"] for measure in described + others}
    assert len(names) == len(HEALTHY) == len(MEASURES)
    by_name = {measure["name"]: measure for measure in described}
    assert by_name["usage"]["note"] == "12.3 clusters"
    assert by_name["usage"]["range"] == "0.1 or more"
    assert by_name["dead prototypes"]["range"] == "0"
    assert by_name["positional information"]["range"] == "0.5 or less"
    assert all(measure["healthy"] for measure in described + others)
    by_name = {measure["name"]: measure for measure in others}
    assert by_name["entropy of the targets"]["note"] == "1.00 nats"
    assert by_name["entropy of the targets"]["value"] == "0.36"
    assert by_name["entropy of the targets"]["range"] == "0.001 to 0.98"
    assert by_name["loss against chance"]["note"] == "1.00 bits"
    assert by_name["loss against chance"]["range"] == "0.98 or less"
    assert by_name["information of the choices"]["range"] == "0.02 or more"


def test_methods_without_clusters():
    verdict = health_verdict(feature_shares(MEASURED))
    assert verdict["sentences"] == [
        "Healthy: all 2 measures are in their ranges."
    ]


@pytest.mark.parametrize("entropy", [0.001, 2.77])
def test_a_teacher_that_says_the_same_of_all_images(entropy):
    (sentence,) = health_verdict(feature_shares(MEASURED, 16, entropy))[
        "sentences"
    ]
    assert "the teacher says the same of all images" in sentence
    assert "healthy is 0.001 to 0.98" in sentence
    assert "`teacher_temperature`" in sentence
