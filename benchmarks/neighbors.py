"""Exact neighbours among a million patches of width 1024: time and memory.

    KERAS_BACKEND=jax python benchmarks/neighbors.py

Prints the seconds and the peak memory of the process, which holds 4 GiB of
features, and how many of the neighbours of some queries a plain NumPy search in
float64 finds too.
"""

import argparse
import json
import resource
import time

import keras
import numpy as np

import keras_capi

NUM_NEIGHBORS = 30
NUM_CHECKED = 20


def numpy_neighbors(queries, database, metric):
    """Returns the indices of the nearest vectors of each query, as sets."""
    scores = []
    for start in range(0, len(database), 50_000):
        chunk = database[start : start + 50_000].astype("float64")
        if metric == "cosine":
            chunk /= np.linalg.norm(chunk, axis=1, keepdims=True)
            scores.append(queries @ chunk.T)
        else:
            squares = (chunk**2).sum(axis=1)
            scores.append(2 * queries @ chunk.T - squares)
    scores = np.concatenate(scores, axis=1)
    nearest = np.argpartition(-scores, NUM_NEIGHBORS)[:, :NUM_NEIGHBORS]
    return [set(row) for row in nearest]


def main(samples, width, queries, metric):
    generator = np.random.default_rng(0)
    database = generator.standard_normal((samples, width), "float32")
    wanted = generator.standard_normal((queries, width), "float32")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = time.perf_counter()
    indices = keras_capi.evaluation.nearest_neighbors(
        wanted, database, NUM_NEIGHBORS, metric
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    expected = numpy_neighbors(wanted[:NUM_CHECKED], database, metric)
    found = sum(len(expected[i] & set(indices[i])) for i in range(NUM_CHECKED))
    print(
        json.dumps(
            {
                "backend": keras.backend.backend(),
                "samples": samples,
                "width": width,
                "queries": queries,
                "metric": metric,
                "seconds": round(seconds, 1),
                "gib_before": round(before, 2),
                "gib_peak": round(peak, 2),
                "same_as_numpy": found / (NUM_CHECKED * NUM_NEIGHBORS),
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--metric", choices=("cosine", "l2"), default="cosine")
    main(**vars(parser.parse_args()))
