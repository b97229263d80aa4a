"""Loads a model in a process of its own, uses it and trains it on.

Usage: `python worker.py model.keras data.npz results.npz`. The data hold
`images` of shape `(steps, batch, height, width, channels)` and, if the masks
are given, their indices.
"""

import sys

import keras
import numpy as np
from keras import ops

import keras_capi  # noqa: F401 (registers the classes)


def run(model, data):
    """Returns features, the losses of each step, and the final weights."""
    images = data["images"]
    features = model.predict(images[0], verbose=0)
    losses = []
    for step in range(len(images)):
        inputs = {name: values[step] for name, values in data.items()}
        inputs = inputs if len(inputs) > 1 else inputs["images"]
        logs = model.train_on_batch(inputs, return_dict=True)
        losses.append([logs["capi_loss"], logs["clustering_loss"]])
    weights = [ops.convert_to_numpy(w.value) for w in model.weights]
    return {
        **{f"features/{name}": value for name, value in features.items()},
        "losses": np.array(losses),
        **{f"weights/{i}": value for i, value in enumerate(weights)},
    }


if __name__ == "__main__":
    model_path, data_path, results_path = sys.argv[1:]
    with np.load(data_path) as data:
        results = run(keras.saving.load_model(model_path), dict(data))
    np.savez(results_path, **results)
