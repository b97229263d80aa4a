import sys

import ml_dtypes
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images

from keras_capi.evaluation import probe_classification
from keras_capi.models import FeatureExtractor

CENTRES = np.random.default_rng(0).normal(size=(3, 8))
QUICK = {"num_steps": 100, "batch_size": 32, "verbose": 0}


def make_vectors(count, seed, noise=0.3):
    """Features around a centre for each class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    features = CENTRES[labels] + noise * generator.normal(size=(count, 8))
    return features.astype("float32"), labels


def make_maps(count, seed):
    """Features where one patch, anywhere, shows the class."""
    vectors, labels = make_vectors(count, seed, noise=0.1)
    generator = np.random.default_rng([seed, 1])
    maps = 0.1 * generator.normal(size=(count, 4, 8))
    maps[np.arange(count), generator.integers(0, 4, count)] += 2 * vectors
    return maps.reshape(count, 2, 2, 8).astype("float32"), labels


def test_linear_probes_learn():
    features, labels = make_vectors(200, 1)
    test_features, test_labels = make_vectors(100, 2)
    # Each half alone does not show all classes; the two together do.
    results = probe_classification(
        {"global": features[:, :4], "average": features[:, 4:]},
        labels,
        {"global": test_features[:, :4], "average": test_features[:, 4:]},
        test_labels,
        learning_rates=(1e-5, 0.1),
        weight_decays=(0.0, 1e-3, 5e-2),
        **QUICK,
    )
    assert list(results) == ["global", "average", "global+average"]
    both = results["global+average"]
    assert both["accuracy"] > 0.95
    for source in results.values():
        grid = source["validation_grid"]
        assert grid.shape == (2, 3)
        assert source["validation_accuracy"] == grid.max() == grid[1].max()
        assert source["learning_rate"] == 0.1
        column = (0.0, 1e-3, 5e-2).index(source["weight_decay"])
        assert grid[1, column] == grid.max()
        assert grid[0].max() < grid.max()
        assert type(source["accuracy"]) is float
        assert type(source["validation_accuracy"]) is float


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, "float16"])
def test_takes_what_a_model_in_half_precision_predicts(dtype):
    features, labels = make_vectors(200, 1)
    test_features, test_labels = make_vectors(100, 2)
    results = probe_classification(
        {"global": features.astype(dtype)},
        labels,
        {"global": test_features.astype(dtype)},
        test_labels,
        learning_rates=(0.1,),
        weight_decays=(0.0,),
        **QUICK,
    )
    assert results["global"]["accuracy"] > 0.95


@pytest.mark.parametrize("shape", [(2, 2, 8), (4, 8)])
def test_attentive_probes_learn(shape):
    features, labels = make_maps(200, 1)
    test_features, test_labels = make_maps(100, 2)
    # In half precision, as features are often stored.
    results = probe_classification(
        {"patches": features.reshape(-1, *shape).astype("float16")},
        labels,
        {"patches": test_features.reshape(-1, *shape).astype("float16")},
        test_labels,
        learning_rates=(0.05,),
        weight_decays=(5e-4,),
        **QUICK,
    )
    assert list(results) == ["patches"]
    assert results["patches"]["accuracy"] > 0.95


def test_chooses_on_held_out_samples_not_on_the_test():
    features, labels = make_vectors(200, 1)
    test_features, test_labels = make_vectors(100, 2)
    results = probe_classification(
        {"x": features},
        labels,
        {"x": test_features},
        # On these wrong labels the untrained probe is the better one.
        (test_labels + 1) % 3,
        learning_rates=(1e-9, 0.1),
        weight_decays=(0.0,),
        **QUICK,
    )["x"]
    assert results["learning_rate"] == 0.1
    assert results["validation_accuracy"] > 0.95
    assert results["accuracy"] < 0.05


def test_held_out_samples_are_not_trained_on():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 256)).astype("float32")
    labels = generator.integers(0, 2, 200)
    # Random labels can be learnt by heart, but not guessed: tested on all of
    # them, those held out are the only ones to go wrong.
    results = probe_classification(
        {"x": features},
        labels,
        {"x": features},
        labels,
        learning_rates=(0.1,),
        weight_decays=(0.0,),
        validation_share=0.25,
        **QUICK,
    )["x"]
    assert 0.3 < results["validation_accuracy"] < 0.7
    assert results["accuracy"] == pytest.approx(
        0.75 + 0.25 * results["validation_accuracy"]
    )


def test_any_of_several_labels_is_right():
    features, labels = make_vectors(200, 1)
    test_features, test_labels = make_vectors(100, 2)
    several = np.stack([(test_labels + 1) % 3, test_labels], axis=-1)
    several[:50, 1] = -1  # wrong for half of the samples
    several[:25] = -1  # of which half have no label
    results = probe_classification(
        {"x": features},
        labels,
        {"x": test_features},
        several,
        learning_rates=(0.1,),
        weight_decays=(0.0,),
        **QUICK,
    )["x"]
    assert results["accuracy"] == pytest.approx(50 / 75, abs=0.05)


def test_takes_features_of_a_backbone():
    backbone = make_backbone(num_layers=1)
    extractor = FeatureExtractor(backbone, ("global", "average", "feature_map"))
    features = extractor.predict(make_images(20), verbose=0)
    labels = np.arange(20) % 2
    results = probe_classification(
        features,
        labels,
        features,
        labels,
        num_steps=2,
        batch_size=4,
        verbose=0,
    )
    names = {"global", "average", "feature_map", "global+average"}
    assert set(results) == names
    for source in results.values():
        assert source["validation_grid"].shape == (10, 3)


VECTORS, LABELS = make_vectors(40, 0)
NAN = np.where(np.arange(40)[:, None] == 7, np.nan, VECTORS)
INFINITE = np.where(NAN == NAN, VECTORS, [np.inf, -np.inf] * 4)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"train_features": {}}, "`train_features` must be a dictionary"),
        ({"train_features": VECTORS}, "`train_features` must be a dictionary"),
        ({"test_features": {"x": VECTORS[:, 0]}}, "must have the shape"),
        ({"test_features": {"x": VECTORS[:0]}}, "must have the shape"),
        ({"train_features": {"x": LABELS[:, None]}}, "floating point"),
        ({"train_features": {"x": VECTORS.astype(str)}}, "floating point"),
        ({"train_features": {"x": NAN}}, r"train_features\['x'\]` must be fin"),
        ({"test_features": {"x": INFINITE}}, r"test_features\['x'\]` must be"),
        (
            {"train_features": {"x": VECTORS, "y": VECTORS[1:]}},
            "same number of samples.*'y': 39",
        ),
        ({"test_features": {"y": VECTORS}}, "must have the same names"),
        ({"test_features": {"x": VECTORS[:, 1:]}}, "must have the same names"),
        ({"train_labels": LABELS[1:]}, "`train_labels` must have rank 1"),
        ({"train_labels": LABELS[:, None]}, "`train_labels` must have rank 1"),
        ({"train_labels": LABELS - 1}, "`train_labels` must be at least 0"),
        ({"train_labels": LABELS + 0.5}, "`train_labels` must be integers"),
        ({"test_labels": LABELS[1:]}, "`test_labels` must have rank 1 or 2"),
        ({"test_labels": LABELS - 2}, "at least -1 and below 3"),
        ({"test_labels": LABELS + 1}, "at least -1 and below 3"),
        ({"test_labels": LABELS * 0 - 1}, "`test_labels` must have a label"),
        ({"batch_size": 37}, "At least `batch_size` samples .* 40 samples"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"num_steps": 0}, "num_steps=0"),
        ({"validation_share": 1.0}, "validation_share=1.0"),
        ({"learning_rates": ()}, r"learning_rates=\(\)"),
        ({"learning_rates": (0.1, 0.0)}, r"learning_rates=\(0.1, 0.0\)"),
        ({"learning_rates": (float("nan"),)}, "learning_rates="),
        ({"weight_decays": ()}, r"weight_decays=\(\)"),
        ({"weight_decays": (-0.1,)}, r"weight_decays=\(-0.1,\)"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_errors_come_before_training(overrides, message, monkeypatch):
    module = sys.modules["keras_capi.evaluation.probes.probe_classification"]
    monkeypatch.delattr(module, "train_probes")
    arguments = {
        "train_features": {"x": VECTORS},
        "train_labels": LABELS,
        "test_features": {"x": VECTORS},
        "test_labels": LABELS,
        **QUICK,
        **overrides,
    }
    with pytest.raises(ValueError, match=message):
        probe_classification(**arguments)
