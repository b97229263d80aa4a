import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import view_cross_entropy

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    "num_views, target_views", [(2, None), (5, None), (5, (0, 1)), (4, (3, 1))]
)
def test_mean_over_all_pairs_of_different_views(num_views, target_views):
    targets = GENERATOR.dirichlet(np.ones(4), size=(3, 2)).astype("float32")
    logits = GENERATOR.normal(size=(3, num_views, 4)).astype("float32")
    scaled = logits / 0.1
    log_p = scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))
    pairs = [
        -(targets[:, i] * log_p[:, j]).sum(axis=-1).mean()
        for i, view in enumerate(target_views or (0, 1))
        for j in range(num_views)
        if j != view
    ]
    loss = to_numpy(view_cross_entropy(targets, logits, 0.1, target_views))
    assert loss.dtype == "float32"
    assert loss == pytest.approx(np.mean(pairs), rel=1e-5)


def test_one_view_alone_has_nothing_to_predict():
    scores = np.ones((3, 1, 4), "float32")
    with pytest.raises(ValueError, match="two views .* Received: 1 views"):
        view_cross_entropy(scores / 4, scores, 0.1)
