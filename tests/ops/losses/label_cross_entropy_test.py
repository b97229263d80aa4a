import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

from keras_capi.ops import label_cross_entropy


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_is_what_the_label_costs(dtype):
    rng = np.random.default_rng(0)
    logits = ops.cast(3 * rng.normal(size=(2, 5, 7)), dtype)
    labels = rng.integers(0, 7, (2, 5))
    scores = to_numpy(ops.cast(logits, "float32")).astype("float64")
    log_sums = np.log(np.exp(scores).sum(axis=-1))
    expected = (
        log_sums - np.take_along_axis(scores, labels[..., None], -1)[..., 0]
    )
    values = label_cross_entropy(labels, logits)
    assert values.shape == (2, 5)
    np.testing.assert_allclose(to_numpy(values), expected, rtol=1e-5, atol=1e-6)


def test_large_scores():
    logits = np.array([[1e4, 0.0]], "float32")
    np.testing.assert_allclose(
        to_numpy(label_cross_entropy(np.array([1]), logits)), [1e4]
    )


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_are_no_class(label):
    """They are refused, or make the loss NaN where values are not at hand."""
    logits = np.array([[0.0, 1.0, 2.0]] * 2, "float32")
    labels = np.array([label, 2])
    for values in (labels, [label, 2]):
        with pytest.raises(ValueError, match="`labels` must be from 0 to 2"):
            label_cross_entropy(values, logits)
    costs = to_numpy(label_cross_entropy(ops.convert_to_tensor(labels), logits))
    assert np.isnan(costs[0])
    assert costs[1] == pytest.approx(0.4076, abs=1e-4)
