"""How long does the clustering take, by the number of parts it is done in?

    KERAS_BACKEND=torch python benchmarks/clustering_chunks.py

Times `OnlineClustering` with its gradient, 196 patches of width 192, for
different numbers of clusters, in turns: the median CPU time of a step in
milliseconds, for each number of parts, and the number that the layer chooses.
On one core (`taskset -c 0`, `OMP_NUM_THREADS=1`) numbers of others are least
noisy.
"""

import argparse
import json
import statistics
import time

import keras
import numpy as np

import keras_capi

NUM_PATCHES, WIDTH, NUM_PREDICTIONS = 196, 192, 14
# As `CAPI` is by default.
IS_COMPILED = keras.backend.backend() != "torch"


class Clustering(keras.Model):
    """Minimises the loss of the clustering."""

    def __init__(self, clustering):
        super().__init__()
        self.clustering = clustering

    def call(self, inputs):
        targets, loss = self.clustering(**inputs)
        self.add_loss(loss)
        return targets


def make_model(num_clusters, num_chunks):
    model = Clustering(
        keras_capi.layers.OnlineClustering(
            num_clusters, chunk_size=-(-NUM_PATCHES // num_chunks)
        )
    )
    model.compile(keras.optimizers.SGD(1e-3), jit_compile=IS_COMPILED)
    return model


def main(batch_size, clusters, chunks, steps):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(batch_size, NUM_PATCHES, WIDTH))
    indices = np.tile(np.arange(NUM_PREDICTIONS), (batch_size, 1))
    batch = {
        "inputs": features.astype("float32"),
        "predict_indices": indices.astype("int32"),
    }
    for num_clusters in clusters:
        models = {n: make_model(num_clusters, n) for n in chunks}
        seconds = {n: [] for n in chunks}
        for step in range(steps + 2):
            for num_chunks, model in models.items():
                start = time.process_time()
                model.train_on_batch(batch)
                if step > 1:
                    seconds[num_chunks].append(time.process_time() - start)
        chosen = keras_capi.ops.choose_chunk_size(
            NUM_PATCHES, batch_size * num_clusters
        )
        result = {
            "backend": keras.backend.backend(),
            "batch_size": batch_size,
            "clusters": num_clusters,
            "chosen": -(-NUM_PATCHES // chosen),
            "ms_by_chunks": {
                n: round(1e3 * statistics.median(x), 1)
                for n, x in seconds.items()
            },
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--clusters", type=int, nargs="+", default=[1024, 2048, 4096, 16384]
    )
    parser.add_argument(
        "--chunks", type=int, nargs="+", default=[1, 3, 6, 12, 24]
    )
    parser.add_argument("--steps", type=int, default=4)
    main(**vars(parser.parse_args()))
