import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.ops import contrast_views
from keras_capi.ops import info_nce


def views():
    embeddings = np.random.default_rng(0).normal(size=(4, 2, 5))
    return embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)


def test_each_view_is_to_find_the_other_among_all():
    embeddings = views()
    rows = np.concatenate([embeddings[:, 0], embeddings[:, 1]])
    similarities = rows @ rows.T / 0.1
    losses = []
    for row in range(8):
        partner = (row + 4) % 8
        others = np.delete(similarities[row], row)
        losses.append(np.log(np.exp(others).sum()) - similarities[row, partner])
    labels, logits = contrast_views(embeddings.astype("float32"), 0.1)
    np.testing.assert_array_equal(
        to_numpy(labels), [[4, 5, 6, 7], [0, 1, 2, 3]]
    )
    logits = to_numpy(logits).reshape(8, 8)
    outside = ~np.eye(8, dtype=bool)
    np.testing.assert_allclose(
        logits[outside], similarities[outside], rtol=1e-4, atol=1e-5
    )
    assert (np.diag(logits) < -1e8).all()
    # The sum of both directions, twice the mean over all views.
    loss = to_numpy(
        info_nce(*contrast_views(embeddings.astype("float32"), 0.1))
    )
    assert loss == pytest.approx(2 * np.mean(losses), rel=1e-5)


def test_equal_views_of_different_images_cost_nothing():
    embeddings = np.repeat(np.eye(3, dtype="float32")[:, None], 2, axis=1)
    assert to_numpy(info_nce(*contrast_views(embeddings, 0.01))) < 1e-6
