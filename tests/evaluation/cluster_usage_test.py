import numpy as np
import pytest
from helpers import make_images
from helpers import make_model
from helpers import to_numpy

from keras_capi.evaluation import cluster_usage


def entropy(shares):
    shares = shares[shares > 0]
    return -np.sum(shares * np.log(shares))


def test_equals_plain_numpy():
    model = make_model()
    images = make_images(11)
    usage = cluster_usage(model, images, batch_size=4)
    assigned, nearest = [], []
    for batch in (images[:4], images[4:8]):
        features = model.teacher.encode_patches(batch)
        assigned.append(to_numpy(model.clustering(features)[0]))
        nearest.append(to_numpy(model.clustering.logits(features)).argmax(-1))
    expected = entropy(np.mean(assigned, axis=(0, 1, 2)))
    assert usage["mean_assignment_entropy"] == pytest.approx(expected, rel=1e-4)
    assert usage["assigned_clusters"] == pytest.approx(
        np.exp(expected), rel=1e-4
    )
    shares = np.bincount(np.ravel(nearest), minlength=8) / np.size(nearest)
    assert usage["nearest_clusters"] == pytest.approx(
        np.exp(entropy(shares)), rel=1e-4
    )
    assert all(type(value) is float for value in usage.values())


def test_collapse_shows():
    model = make_model()
    bias = np.zeros(8, "float32")
    bias[3] = 100.0
    model.clustering.bias.assign(bias)
    usage = cluster_usage(model, make_images(4), batch_size=4)
    assert usage["nearest_clusters"] == pytest.approx(1.0)


def test_few_images_are_one_batch():
    model, images = make_model(), make_images(4)
    assert cluster_usage(model, images) == cluster_usage(model, images, 4)


def test_no_images():
    with pytest.raises(ValueError, match="`images` must have at least one"):
        cluster_usage(make_model(), make_images(4)[:0])
