import numpy as np

from keras_capi.evaluation.majority_vote import majority_vote
from keras_capi.evaluation.nearest_neighbors import METRICS
from keras_capi.evaluation.nearest_neighbors import search_neighbors
from keras_capi.evaluation.one_class import refuse_one_class
from keras_capi.evaluation.probes.held_out import best_of
from keras_capi.evaluation.probes.held_out import split_held_out
from keras_capi.evaluation.probes.standardize import standardize
from keras_capi.validation import check_each
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_ratio
from keras_capi.validation import check_seed


def knn_classification(
    train_features,
    train_labels,
    test_features,
    test_labels,
    num_neighbors=(1, 3, 10, 30),
    metrics=METRICS,
    validation_share=0.1,
    seed=0,
    temperature=None,
    standardized=True,
):
    """Classifies images by their nearest neighbours in feature space.

    Measures how good the features are as they are: nothing is trained. Features
    are standardised on the training set. The number of neighbours and the
    metric are chosen on a part of the training set; for the test all of it is
    searched.

    Args:
        train_features: Float array of shape `(samples, width)`, one vector for
            each image.
        train_labels: Integer array of shape `(samples,)`, counted from 0, of
            at least 2 classes.
        test_features: Float array of shape `(tests, width)`.
        test_labels: Integer array of shape `(tests,)`.
        num_neighbors: Tuple of integers to choose from. Those that exceed the
            number of samples are left out. Defaults to `(1, 3, 10, 30)`.
        metrics: Tuple of `"cosine"` and `"l2"` to choose from. Defaults to
            both.
        validation_share: Float in (0, 1). Share of the training set that the
            choice is made on. Not used if there is nothing to choose. Defaults
            to `0.1`.
        seed: Integer. Seed of the split. Defaults to `0`.
        temperature: Float or `None`. `None` gives each neighbour one vote; a
            temperature gives it a weight of `exp(cosine / temperature)`. DINO's
            authors use 0.07, `num_neighbors=(10, 20, 100, 200)`,
            `metrics=("cosine",)` and `standardized=False`. Defaults to `None`.
        standardized: Boolean. Whether to standardise the features. Defaults to
            `True`.

    Returns:
        Dictionary: `"accuracy"` on the test set, the chosen `"num_neighbors"`
        and `"metric"`, and `"validation"`, a dictionary from
        `(num_neighbors, metric)` to accuracy.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If shapes, labels or arguments do not fit, or a feature is
            not finite.

    Example:

    >>> features, labels = np.random.rand(200, 16), np.arange(200) % 4
    >>> scores = keras_capi.evaluation.knn_classification(
    ...     features[:150], labels[:150], features[150:], labels[150:]
    ... )
    >>> scores["accuracy"]

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    - [DINO](https://arxiv.org/abs/2104.14294), section 4.1 (weighted votes)
    """
    train_labels, test_labels = (
        check_labels(name, features, labels)
        for name, features, labels in (
            ("train", train_features, train_labels),
            ("test", test_features, test_labels),
        )
    )
    refuse_one_class("train_labels", train_labels)
    candidates = neighbor_candidates(num_neighbors, metrics)
    check_ratio("validation_share", validation_share)
    check_seed("seed", seed, or_none=False)
    if temperature is not None:
        check_positive("temperature", temperature)
        if {metric for _, metric in candidates} != {"cosine"}:
            raise ValueError(
                "`temperature` is for cosines: give `metrics=('cosine',)` too. "
                f"Received: temperature={temperature}, metrics={metrics}"
            )

    def accuracies(train, queries, labels, candidates, targets):
        train, queries = np.asarray(train), np.asarray(queries)
        if standardized:
            train, queries = standardize(train, queries)
        return {
            candidate: float(np.mean(predicted == targets))
            for candidate, predicted in neighbor_votes(
                train, labels, queries, candidates, temperature
            )
        }

    validation, best = {}, candidates[0]
    if len(candidates) > 1:
        kept, held = map(
            np.sort, split_held_out(len(train_labels), validation_share, seed)
        )
        candidates = within_reach(candidates, len(kept))
        features = np.asarray(train_features)
        validation = accuracies(
            features[kept],
            features[held],
            train_labels[kept],
            candidates,
            train_labels[held],
        )
        best = best_of(validation)
    accuracy = accuracies(
        train_features, test_features, train_labels, [best], test_labels
    )[best]
    return {
        "accuracy": accuracy,
        "num_neighbors": best[0],
        "metric": best[1],
        "validation": validation,
    }


def neighbor_candidates(num_neighbors, metrics):
    """Returns all pairs of a number of neighbours and a metric, or raises.

    Args:
        num_neighbors: Sequence of positive integers.
        metrics: Sequence of metrics.

    Returns:
        List of pairs, grouped by metric.
    """
    num_neighbors = check_each(
        "num_neighbors", num_neighbors, check_positive_integer
    )
    metrics = tuple(metrics)
    if not metrics or any(metric not in METRICS for metric in metrics):
        raise ValueError(
            f"`metrics` must be one or more of {METRICS}. "
            f"Received: metrics={metrics}"
        )
    return [(k, metric) for metric in metrics for k in num_neighbors]


def within_reach(candidates, num_samples):
    """Returns the candidates that need no more neighbours than there are.

    Args:
        candidates: List of `(num_neighbors, metric)`.
        num_samples: Integer. Number of samples that can be neighbours.
    """
    possible = [pair for pair in candidates if pair[0] <= num_samples]
    if not possible:
        smallest = min(k for k, _ in candidates)
        raise ValueError(
            "`num_neighbors` must not exceed the samples to search. Received: "
            f"num_neighbors={smallest}, samples {num_samples}"
        )
    return possible


def neighbor_votes(
    train_features, train_labels, queries, candidates, temperature=None
):
    """Yields the vote of each query's neighbours, for all candidates.

    Neighbours are searched once for each metric.

    Args:
        train_features: Float array of shape `(samples, width)`.
        train_labels: Integer array of shape `(samples, ...)`.
        queries: Float array of shape `(queries, width)`.
        candidates: List of `(num_neighbors, metric)`, grouped by metric.
        temperature: As for `knn_classification`. For labels of rank 1.

    Yields:
        Pairs of candidate and integer array of shape `(queries, ...)`.
    """
    scores, indices, searched = None, None, None
    for num_neighbors, metric in candidates:
        if metric != searched:
            most = max(k for k, other in candidates if other == metric)
            scores, indices = search_neighbors(
                queries, train_features, most, metric
            )
            searched = metric
        if temperature is not None:
            near = np.s_[:, :num_neighbors]
            # Relative to the nearest, as all weights might be 0 otherwise.
            relative = scores[near] - scores[:, :1]
            yield (
                (num_neighbors, metric),
                _weighted_vote(
                    train_labels[indices[near]], np.exp(relative / temperature)
                ),
            )
            continue
        votes = [
            majority_vote(train_labels[part[:, :num_neighbors]])
            for part in np.array_split(indices, len(indices) // 4096 + 1)
        ]
        yield (num_neighbors, metric), np.concatenate(votes)


def _weighted_vote(labels, weights):
    """Returns the label with the most weight in each row."""
    classes, numbers = np.unique(labels, return_inverse=True)
    votes = np.zeros((len(labels), len(classes)))
    rows = np.arange(len(labels))[:, None]
    np.add.at(votes, (rows, numbers.reshape(labels.shape)), weights)
    return classes[np.argmax(votes, axis=1)]


def check_labels(name, features, labels):
    """Returns labels as an array, one for each feature vector."""
    labels = np.asarray(labels)
    shape = np.shape(features)
    if (
        len(shape) != 2
        or labels.shape != shape[:1]
        or labels.dtype.kind not in "iu"
    ):
        raise ValueError(
            f"`{name}_features` must have shape (samples, width), and "
            f"`{name}_labels` be integers of shape (samples,). Received: "
            f"shapes {shape} and {labels.shape}, labels of {labels.dtype}"
        )
    if not labels.size or labels.min() < 0:
        # Data sets mark samples without a label by -1, which would be taken for
        # a class.
        received = labels.min() if labels.size else "none"
        raise ValueError(
            f"`{name}_labels` must be those of a sample or more, and none "
            f"negative: leave out samples without a label. Received: {received}"
        )
    return labels
