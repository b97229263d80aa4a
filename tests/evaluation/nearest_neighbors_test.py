import sys

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from keras_capi.evaluation import nearest_neighbors


def vectors(count, width=7, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)) + 0.5


@pytest.mark.parametrize("chunks", [(1024, 65536), (5, 16)], ids=str)
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_equals_scikit_learn(metric, chunks, monkeypatch):
    module = sys.modules[nearest_neighbors.__module__]
    monkeypatch.setattr(module, "QUERY_CHUNK", chunks[0])
    monkeypatch.setattr(module, "DATABASE_CHUNK", chunks[1])
    queries, database = vectors(23), vectors(60, seed=1)
    for num_neighbors in (1, 20):
        search = NearestNeighbors(n_neighbors=num_neighbors, metric=metric)
        _, expected = search.fit(database).kneighbors(queries)
        indices = nearest_neighbors(queries, database, num_neighbors, metric)
        assert indices.dtype == "int32"
        np.testing.assert_array_equal(indices, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_neighbors": 61}, "must not exceed .*61.*60"),
        ({"num_neighbors": 0}, "positive integer"),
        ({"metric": "L1"}, "`metric` must be one of"),
        ({"queries": vectors(3, 5)}, r"one width.*\(3, 5\)"),
        ({"queries": vectors(3)[0]}, "must have shapes"),
        ({"queries": np.full((3, 7), np.nan)}, "must be finite"),
        ({"database": np.full((60, 7), np.inf)}, "must be finite"),
    ],
)
def test_bad_input(arguments, message):
    arguments = {
        "queries": vectors(3),
        "database": vectors(60),
        "num_neighbors": 2,
        **arguments,
    }
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(**arguments)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("num_copies", [3, 25, 200])
def test_of_equal_neighbours_the_first_are_taken(metric, num_copies):
    """As of patches without content, of which there may be many."""
    # So that all products are exact.
    signs = np.sign(vectors(6, width=16)).astype("float32")
    database = np.repeat(signs, num_copies, axis=0)
    expected = np.argsort(-signs @ database.T, axis=1, kind="stable")[:, :10]
    found = nearest_neighbors(signs, database, 10, metric)
    np.testing.assert_array_equal(found, expected)
