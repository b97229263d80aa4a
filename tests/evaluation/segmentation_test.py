import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.metrics import jaccard_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from keras_capi.evaluation import knn_segmentation
from keras_capi.evaluation import logistic_segmentation
from keras_capi.evaluation import patch_pixels
from keras_capi.evaluation import segmentation_scores

IGNORED = (0, 255)
PATCH = 4


def make_data(count, seed):
    """Masks with stripes that do not follow the patches, some ignored."""
    generator = np.random.default_rng(seed)
    masks = np.zeros((count, 16, 24), "uint8")
    for mask in masks:
        cuts = np.sort(generator.integers(0, 24, 4))
        for part in np.split(np.arange(24), cuts):
            mask[:, part] = generator.choice([0, 1, 2, 3, 255])
    features = generator.normal(size=(count, 4, 6, 5)) * 0.7 + 9.0
    for label in (1, 2, 3):
        share = (masks == label).reshape(count, 4, 4, 6, 4).mean(axis=(2, 4))
        features[..., label] += 3.0 * share
    return features.astype("float32"), masks


def cut(masks):
    patches = [
        mask[top : top + PATCH, left : left + PATCH].ravel()
        for mask in masks
        for top in range(0, 16, PATCH)
        for left in range(0, 24, PATCH)
    ]
    return np.array(patches)


def mode(labels):
    return np.bincount(labels).argmax()


def scores_of(truth, predicted):
    counts = ~np.isin(truth, IGNORED)
    truth, predicted = truth[counts], predicted[counts]
    return {
        "mean_iou": jaccard_score(truth, predicted, average="macro"),
        "pixel_accuracy": accuracy_score(truth, predicted),
    }


def reference(train, test, predict):
    """The protocol once more, with scikit-learn, in plain steps."""
    (train, train_masks), (test, test_masks) = train, test
    train, test = train.reshape(-1, 5), test.reshape(-1, 5)
    pixels = cut(train_masks)
    kept = [mode(patch) not in IGNORED for patch in pixels]
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train)[kept], scaler.transform(test)
    predicted = predict(train, pixels[kept], test)
    return scores_of(cut(test_masks), predicted)


def reference_knn(num_neighbors, metric):
    def predict(train, pixels, test):
        search = NearestNeighbors(n_neighbors=num_neighbors, metric=metric)
        _, indices = search.fit(train).kneighbors(test)
        return np.array(
            [
                [mode(votes) for votes in pixels[neighbors].T]
                for neighbors in indices
            ]
        )

    return predict


def reference_logistic(strength):
    def predict(train, pixels, test):
        labels = [mode(patch) for patch in pixels]
        model = LogisticRegression(C=strength, max_iter=1000, tol=1e-12)
        labels = model.fit(train, labels).predict(test)
        return np.repeat(labels[:, None], PATCH * PATCH, axis=1)

    return predict


def only(scores):
    return {name: scores[name] for name in ("mean_iou", "pixel_accuracy")}


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("num_neighbors", [1, 10])
def test_knn_equals_scikit_learn(num_neighbors, metric):
    train, test = make_data(8, 0), make_data(5, 1)
    scores = knn_segmentation(
        *train, *test, IGNORED, (num_neighbors,), (metric,)
    )
    expected = reference(train, test, reference_knn(num_neighbors, metric))
    assert only(scores) == pytest.approx(expected)
    assert 0.2 < expected["mean_iou"] < 0.95


@pytest.mark.parametrize("strength", [0.1, 1e5])
def test_logistic_equals_scikit_learn(strength):
    train, test = make_data(2, 0), make_data(9, 50)
    scores = logistic_segmentation(*train, *test, IGNORED, (strength,))
    expected = reference(train, test, reference_logistic(strength))
    assert only(scores) == pytest.approx(expected)
    assert 0.2 < expected["mean_iou"] < 0.95


@pytest.mark.parametrize("kind", ["knn", "logistic"])
def test_chooses_on_images_of_the_training_set(kind):
    (features, masks), test = make_data(20, 0), make_data(5, 1)
    order = np.random.default_rng(0).permutation(20)
    held, kept = np.sort(order[:2]), np.sort(order[2:])
    parts = [(features[part], masks[part]) for part in (kept, held)]
    if kind == "knn":
        scores = knn_segmentation(features, masks, *test, IGNORED)
        chosen = scores["num_neighbors"], scores["metric"]
        candidates = [(k, m) for k in (1, 3, 10, 30) for m in ("cosine", "l2")]
        functions = {key: reference_knn(*key) for key in candidates}
    else:
        scores = logistic_segmentation(features, masks, *test, IGNORED)
        chosen = scores["strength"]
        assert len(scores["validation"]) == 8
        functions = {
            key: reference_logistic(key) for key in scores["validation"]
        }
        assert min(functions) == pytest.approx(1e-6)
        assert max(functions) == pytest.approx(1e5)
    expected = {
        key: reference(*parts, function)["mean_iou"]
        for key, function in functions.items()
    }
    assert scores["validation"] == pytest.approx(expected)
    assert expected[chosen] == max(expected.values())
    assert only(scores) == pytest.approx(
        reference((features, masks), test, functions[chosen])
    )


def test_segmentation_scores():
    generator = np.random.default_rng(0)
    masks = generator.choice([0, 1, 2, 5, 255], (3, 8, 8))
    # A class that is predicted but not there counts, as in scikit-learn.
    predicted = generator.choice([1, 2, 5, 7], (3, 8, 8))
    scores = segmentation_scores(masks, predicted, IGNORED)
    assert scores == pytest.approx(scores_of(masks, predicted))
    assert segmentation_scores(masks, masks, ())["mean_iou"] == 1.0
    with pytest.raises(ValueError, match="labels that are not ignored"):
        segmentation_scores(0 * masks, predicted, (0,))
    for other in (predicted[:2], predicted.swapaxes(0, 2)):
        with pytest.raises(ValueError, match="shape of `masks`"):
            segmentation_scores(masks, other)
    with pytest.raises(ValueError, match="`predictions` must be integers"):
        segmentation_scores(masks, predicted + 0.4)


def test_patch_pixels():
    _, masks = make_data(3, 0)
    np.testing.assert_array_equal(patch_pixels(masks, (4, 6)), cut(masks))


@pytest.mark.parametrize("function", [knn_segmentation, logistic_segmentation])
def test_bad_input(function):
    (features, masks), test = make_data(6, 0), make_data(3, 1)
    for data, message in (
        ((features[:5], masks), "a mask for each image"),
        ((features[..., 0], masks), "`train_features` must have shape"),
        ((features, masks[:, :15]), "multiples of the rows"),
        ((features, masks.astype("float32")), "Masks must be integers"),
        ((features * np.inf, masks), "must be finite"),
        ((features, 0 * masks), "must have patches with labels"),
        ((features, masks - 1.0), "must be integers"),
        ((features, masks.astype(int) - 2), "0 or more.*Received: -2"),
    ):
        with pytest.raises(ValueError, match=message):
            function(*data, *test, IGNORED)


def test_stops_after_the_last_iteration_without_a_warning():
    train, test = make_data(8, 0), make_data(5, 1)
    few, many = (
        logistic_segmentation(*train, *test, IGNORED, (1e5,), max_iterations=n)
        for n in (1, 1000)
    )
    assert few["mean_iou"] != many["mean_iou"]


def test_regression_needs_two_classes():
    (features, masks), test = make_data(6, 0), make_data(3, 1)
    with pytest.raises(ValueError, match="2 classes.*Received: only class 3"):
        logistic_segmentation(features, 0 * masks + 3, *test, IGNORED)


def test_negative_labels_may_be_ignored():
    (features, masks), (test, test_masks) = make_data(6, 0), make_data(3, 1)
    masks, test_masks = (
        np.where(x == 255, -1, x.astype(int)) for x in (masks, test_masks)
    )
    scores = knn_segmentation(features, masks, test, test_masks, (-1,))
    assert scores["pixel_accuracy"] > 0.2


def test_few_patches():
    """Of the numbers of neighbours, those that there are."""
    features = np.random.default_rng(0).normal(size=(3, 2, 2, 5))
    masks = np.arange(3 * 4 * 4).reshape(3, 4, 4) % 3
    scores = knn_segmentation(features, masks, features, masks)
    # Two images with four patches each are not held out.
    assert {k for k, _ in scores["validation"]} == {1, 3}
