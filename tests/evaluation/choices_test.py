import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from keras_capi.evaluation.choices import center_drift
from keras_capi.evaluation.choices import choice_shares


def softmax(scores):
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (scores / scores.sum(axis=-1, keepdims=True)).astype("float32")


def test_choices_of_certain_samples():
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, 5, 40)
    shares = choice_shares([np.eye(8, dtype="float32")[chosen]])
    counts = np.bincount(chosen) / 40
    perplexity = np.exp(-np.sum(counts * np.log(counts)))
    assert shares["used_choices"] == pytest.approx(perplexity)
    # Each sample has one choice: their information is that of two labels.
    information = mutual_info_score(chosen, np.arange(40)) / np.log(8)
    assert shares["choice_information_share"] == pytest.approx(information)


def test_batches_and_places_make_no_difference():
    probabilities = softmax(np.random.default_rng(1).normal(size=(6, 4, 3, 9)))
    whole = choice_shares([probabilities])
    assert 0.0 < whole["choice_information_share"] < 1.0
    rows = probabilities.reshape(-1, 9)
    parts = choice_shares([rows[:50], rows[50:]])
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 100.0])
def test_choices_that_are_the_same_of_all_samples_tell_nothing(sharpness):
    """Both ways of DINO to collapse, and what is between."""
    scores = sharpness * np.random.default_rng(2).normal(size=(1, 16))
    shares = choice_shares([softmax(np.repeat(scores, 32, axis=0))])
    assert shares["choice_information_share"] == pytest.approx(0, abs=1e-5)
    assert shares["used_choices"] == pytest.approx(1.0)


def test_few_samples_can_use_no_more_choices_than_they_are():
    shares = choice_shares([np.eye(100, dtype="float32")[:4]])
    assert shares == pytest.approx(
        {"used_choices": 4.0, "choice_information_share": 1.0}
    )
    shares = choice_shares([np.eye(3, dtype="float32")[:1]])
    assert shares["choice_information_share"] == 0.0


def test_drift_of_centers():
    center, patches = np.array([3.0, 4.0]), np.array([1.0, 0.0])
    assert center_drift([center], [center]) == 0.0
    assert center_drift([np.zeros(2)], [center]) == 1.0
    # The one that moved most.
    moved = [np.array([3.0, 5.0]), np.array([2.0, 0.0])]
    assert center_drift([center, patches], moved) == pytest.approx(0.5)
    assert center_drift([np.zeros(2)], [np.zeros(2)]) == 0.0
