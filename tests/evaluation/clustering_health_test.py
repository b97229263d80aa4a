import numpy as np
import pytest
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import make_vit
from helpers import to_numpy
from scipy.special import logsumexp
from sklearn.metrics import mutual_info_score

from keras_capi.evaluation import cluster_usage
from keras_capi.evaluation import clustered_features
from keras_capi.evaluation import clustering_health
from keras_capi.evaluation.clustering_health import feature_spread
from keras_capi.evaluation.clustering_health import positional_information
from keras_capi.layers import DistilledTargets
from keras_capi.layers import LatentTargets
from keras_capi.methods import CAPI


def entropy(shares):
    shares = shares[shares > 0] / shares.sum()
    return -np.sum(shares * np.log(shares))


def test_equals_plain_numpy():
    model = make_model()
    images = make_images(11)
    health = clustering_health(model, images, batch_size=4)
    features, nearest, soft, assigned = [], [], [], []
    for batch in (images[:4], images[4:8]):
        patches = model.teacher.encode_patches(batch)
        logits = to_numpy(model.clustering.logits(patches))
        features.append(to_numpy(patches).reshape(-1, 16))
        nearest.append(logits.argmax(-1))
        logits = logits / model.clustering.prediction_temperature
        soft.append(np.exp(logits - logsumexp(logits, -1, keepdims=True)))
        assigned.append(to_numpy(model.clustering(patches)[0]))
    usage = entropy(np.bincount(np.ravel(nearest), minlength=8))
    assigned = np.concatenate(assigned)
    features = np.concatenate(features)
    centred = features - features.mean(axis=0)
    singular_values = np.linalg.svd(centred, compute_uv=False)
    expected = {
        "usage_entropy": usage,
        "usage_perplexity": np.exp(usage),
        "usage_share": np.exp(usage) / 8,
        "dead_prototypes": np.sum(np.mean(soft, (0, 1, 2)) < 1e-4 / 8),
        "target_entropy": np.mean(
            -np.sum(assigned * np.log(assigned + 1e-12), axis=-1)
        ),
        "mean_assignment_entropy": entropy(assigned.mean(axis=(0, 1))),
        "feature_deviation": np.sqrt(
            np.mean(centred**2) / np.mean(features**2)
        ),
        "effective_rank": np.exp(entropy(singular_values)),
    }
    assert health.pop("positional_information") < 0.5
    assert health == pytest.approx(expected, rel=1e-3)


def test_positional_information():
    generator = np.random.default_rng(0)
    position = np.tile(np.arange(9), (40, 1))
    assert positional_information(position) == pytest.approx(1.0)
    assert positional_information(position * 0) == 0.0
    independent = generator.integers(0, 6, (40, 9))
    assert abs(positional_information(independent)) < 0.05
    # With many images, chance has no part in it.
    mixed = np.where(generator.random((5000, 9)) < 0.6, np.arange(9), 3)
    information = mutual_info_score(mixed.ravel(), np.tile(np.arange(9), 5000))
    share = information / entropy(np.bincount(mixed.ravel()))
    assert positional_information(mixed) == pytest.approx(share, abs=0.01)


def test_feature_spread():
    constant = np.ones((4, 3, 8)) * np.arange(1, 9)
    assert feature_spread(constant) == pytest.approx(
        {"feature_deviation": 0.0, "effective_rank": 1.0}
    )
    features = np.concatenate([np.eye(8), -np.eye(8)])
    assert feature_spread(features) == pytest.approx(
        {"feature_deviation": 1.0, "effective_rank": 8.0}
    )


def test_few_images_are_one_batch():
    model, images = make_model(), make_images(4)
    health = clustering_health(model, images)
    assert health == clustering_health(model, images, batch_size=4)
    assert np.isfinite(
        list(clustering_health(model, images[:1]).values())
    ).all()


def test_no_images():
    with pytest.raises(ValueError, match="`images` must have at least one"):
        clustering_health(make_model(), make_images(4)[:0])


@pytest.mark.parametrize("measure", [clustering_health, cluster_usage])
@pytest.mark.parametrize("targets", [LatentTargets, DistilledTargets])
def test_models_without_clusters(measure, targets):
    model = make_model()
    other = CAPI(model.student, clustering=targets())
    with pytest.raises(ValueError, match="must have clusters.*CAPI"):
        measure(other, make_images(4))


def test_features_that_nothing_clusters():
    with pytest.raises(ValueError, match="must have clusters.*MAE"):
        clustered_features(make_mae(make_vit()), make_images(4))
