import numpy as np
import pytest

from keras_capi.evaluation import any_match_accuracy


def test_one_label_each():
    accuracy = any_match_accuracy(
        np.array([0, 1, 2, 1]), np.array([0, 1, 2, 2])
    )
    assert accuracy == 0.75
    assert type(accuracy) is float


def test_any_label_is_right_and_unlabelled_samples_are_left_out():
    labels = np.array([[3, 0, -1], [1, -1, -1], [-1, -1, -1], [2, 3, 4]])
    assert any_match_accuracy(np.array([0, 0, 0, 4]), labels) == 2 / 3
    assert any_match_accuracy(np.array([1, 1, 1, 1]), labels) == 1 / 3


def test_padding_is_never_right():
    labels = np.array([[1, -1], [-1, 0]])
    assert any_match_accuracy(np.array([-1, -1]), labels) == 0.0


def test_several_models():
    predictions = np.array([[0, 1, 5], [1, 1, 5], [1, 0, 5]])
    accuracy = any_match_accuracy(predictions, np.array([0, 1, -1]))
    np.testing.assert_array_equal(accuracy, [1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros(3, int), "`labels` must have the shape"),
        (np.zeros((4, 1, 1), int), "`labels` must have the shape"),
        (-np.ones((4, 2), int), "`labels` must have a label"),
        (np.zeros(4), "`labels` must be integers"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        any_match_accuracy(np.zeros(4, int), labels)


def test_scores_are_no_classes():
    with pytest.raises(ValueError, match="`predictions` must be integers"):
        any_match_accuracy(np.array([0.2, 0.9]), np.array([0, 1]))
