import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from keras_capi.evaluation import knn_classification


def make_data(count, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    features = generator.normal(size=(count, 6)) * [1, 1, 1, 1, 50, 50]
    features[np.arange(count), labels] += 2.0
    return features.astype("float32") + 3.0, labels


def scikit_learn_accuracy(train, train_labels, test, test_labels, k, metric):
    scaler = StandardScaler().fit(train)
    classifier = KNeighborsClassifier(k, metric=metric)
    classifier.fit(scaler.transform(train), train_labels)
    return classifier.score(scaler.transform(test), test_labels)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("num_neighbors", [1, 10])
def test_equals_scikit_learn(num_neighbors, metric):
    data = (*make_data(200, 0), *make_data(101, 1))
    scores = knn_classification(*data, (num_neighbors,), (metric,))
    expected = scikit_learn_accuracy(*data, num_neighbors, metric)
    assert scores["accuracy"] == pytest.approx(expected)
    assert 0.4 < expected < 0.95
    assert not scores["validation"]


def test_chooses_on_a_part_of_the_training_set():
    train, labels = make_data(200, 0)
    test, test_labels = make_data(101, 1)
    ks, metrics = (1, 5, 20), ("cosine", "l2")
    scores = knn_classification(
        train, labels, test, test_labels, ks, metrics, 0.3, seed=4
    )
    order = np.random.default_rng(4).permutation(200)
    held, kept = np.sort(order[:60]), np.sort(order[60:])
    expected = {
        (k, metric): scikit_learn_accuracy(
            train[kept], labels[kept], train[held], labels[held], k, metric
        )
        for k in ks
        for metric in metrics
    }
    assert scores["validation"] == pytest.approx(expected)
    best = max(expected.values())
    chosen = scores["num_neighbors"], scores["metric"]
    assert expected[chosen] == best
    assert scores["accuracy"] == pytest.approx(
        scikit_learn_accuracy(train, labels, test, test_labels, *chosen)
    )


@pytest.mark.parametrize("count", [2, 3, 12, 33])
def test_few_samples(count):
    """Of the numbers of neighbours, those that there are."""
    train, labels = make_data(count, 0)
    scores = knn_classification(train, labels, *make_data(9, 1))
    kept = count - max(count // 10, 1)
    ks = {k for k, _ in scores["validation"]}
    assert ks == {k for k in (1, 3, 10, 30) if k <= kept}


def test_bad_input():
    train, labels = make_data(20, 0)
    for data, message in (
        ((train, labels[:3], train, labels), "`train_labels` be integers"),
        ((train, labels, train, labels / 2), "`test_labels` be integers"),
        ((train, labels - 1, train, labels), "`train_labels`.*Received: -1"),
        ((train, labels, train[:0], labels[:0]), "`test_labels`.*: none"),
        ((train[:, 0], labels, train, labels), "`train_features` must have"),
        ((train * np.nan, labels, train, labels), "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            knn_classification(*data)
    with pytest.raises(ValueError, match="`validation_share` must be"):
        knn_classification(train, labels, train, labels, validation_share=1.0)
    with pytest.raises(ValueError, match="must not exceed the samples"):
        knn_classification(train, labels, train, labels, (30,))
    with pytest.raises(ValueError, match=r"num_neighbors=\(1, 0\)"):
        knn_classification(train, labels, train, labels, (1, 0))


def test_votes_weighted_by_the_cosine():
    """As DINO's authors let neighbours vote."""
    generator = np.random.default_rng(3)
    train = generator.normal(size=(60, 8)).astype("float32")
    test = generator.normal(size=(40, 8)).astype("float32")
    labels = generator.integers(0, 4, 60)
    cosines = (test / np.linalg.norm(test, axis=1, keepdims=True)) @ (
        train / np.linalg.norm(train, axis=1, keepdims=True)
    ).T
    expected = []
    for row in cosines:
        nearest = np.argsort(-row)[:12]
        weights = np.exp(row[nearest] / 0.07)
        votes = np.bincount(labels[nearest], weights, minlength=4)
        expected.append(votes.argmax())
    expected = np.array(expected)
    arguments = {
        "num_neighbors": (12,),
        "metrics": ("cosine",),
        "standardized": False,
    }

    def accuracy(**others):
        return knn_classification(
            train, labels, test, expected, **arguments, **others
        )["accuracy"]

    assert accuracy(temperature=0.07) == 1.0
    assert accuracy() < 1.0
    with pytest.raises(ValueError, match="for cosines.*temperature=0.07"):
        knn_classification(train, labels, test, expected, temperature=0.07)


def test_at_low_temperatures_the_nearest_decides():
    train = np.array([[0.5, 1.0], [-1.0, 0.0]], "float32")
    scores = knn_classification(
        train,
        np.array([1, 0]),
        np.array([[1.0, 0.0]], "float32"),
        np.array([1]),
        num_neighbors=(2,),
        metrics=("cosine",),
        temperature=1e-3,
        standardized=False,
    )
    assert scores["accuracy"] == 1.0
