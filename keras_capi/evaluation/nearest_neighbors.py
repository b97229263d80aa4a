import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.evaluation.finite_features import finite_features
from keras_capi.ops.normalization import l2_normalize
from keras_capi.validation import check_choice
from keras_capi.validation import check_positive_integer

METRICS = ("cosine", "l2")
QUERY_CHUNK = 1024
DATABASE_CHUNK = 65536


def nearest_neighbors(queries, database, num_neighbors, metric="cosine"):
    """Finds the exact nearest neighbours of feature vectors.

    A brute-force search on the active backend, chunk by chunk. In addition to
    the arrays themselves it needs about 0.5 GiB, whatever their size.

    Args:
        queries: Float array of shape `(queries, width)`.
        database: Float array of shape `(samples, width)`.
        num_neighbors: Integer, at most `samples`.
        metric: `"cosine"`, the cosine similarity, or `"l2"`, the Euclidean
            distance. Defaults to `"cosine"`.

    Returns:
        Int32 array of shape `(queries, num_neighbors)`: the indices of the
        neighbours, nearest first. Of equally near ones, the first are taken.

    Raises:
        ValueError: If shapes or arguments do not fit, or a feature is not
            finite.

    Example:

    >>> features = np.random.rand(1000, 64).astype("float32")
    >>> indices = keras_capi.evaluation.nearest_neighbors(
    ...     features[:10], features, num_neighbors=3
    ... )
    >>> indices.shape  # (10, 3)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    return search_neighbors(queries, database, num_neighbors, metric)[1]


def search_neighbors(queries, database, num_neighbors, metric):
    """Finds nearest neighbours, and returns how near they are.

    Args:
        queries: This and all others: as for `nearest_neighbors`.

    Returns:
        Two arrays of shape `(queries, num_neighbors)`, float32 and int32: the
        cosines, or negative squared distances up to a constant of each query;
        and the indices.
    """
    check_positive_integer("num_neighbors", num_neighbors)
    check_choice("metric", metric, METRICS)
    shapes = tuple(queries.shape), tuple(database.shape)
    if any(len(s) != 2 for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            "`queries` and `database` must have shapes (count, width) with one "
            f"width. Received: shapes {shapes[0]} and {shapes[1]}"
        )
    if num_neighbors > len(database):
        raise ValueError(
            "`num_neighbors` must not exceed the samples to search. Received: "
            f"num_neighbors={num_neighbors}, samples {len(database)}"
        )
    scores = np.full((len(queries), num_neighbors), -np.inf, "float32")
    indices = np.zeros((len(queries), num_neighbors), "int32")
    for start in range(0, len(database), DATABASE_CHUNK):
        chunk = _prepare(database[start : start + DATABASE_CHUNK], metric)
        for first in range(0, len(queries), QUERY_CHUNK):
            part = slice(first, first + QUERY_CHUNK)
            query_chunk = _prepare(queries[part], metric)
            found = _search(query_chunk, chunk, num_neighbors, metric)
            scores[part], indices[part] = _merge(
                (scores[part], found[0]), (indices[part], found[1] + start)
            )
    return scores, indices


def _prepare(features, metric):
    features = ops.convert_to_tensor(finite_features(features))
    return l2_normalize(features, 1e-12) if metric == "cosine" else features


def _search(queries, database, num_neighbors, metric):
    scores = backend.matrix_product(queries, ops.transpose(database))
    if metric == "l2":
        # The negative squared distance, up to a constant of each query.
        scores = 2 * scores - ops.sum(ops.square(database), axis=-1)
    count = min(num_neighbors, len(database))
    scores, indices = backend.top_k(scores, count)
    return ops.convert_to_numpy(scores), ops.convert_to_numpy(indices)


def _merge(scores, indices):
    """Keeps the best neighbours of each query from two lists."""
    num_neighbors = indices[0].shape[1]
    scores, indices = (np.concatenate(x, axis=1) for x in (scores, indices))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :num_neighbors]
    return tuple(
        np.take_along_axis(x, order, axis=1) for x in (scores, indices)
    )
