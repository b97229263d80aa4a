"""Loads models in a process of their own, uses them and trains them on.

Usage: `python worker.py FOLDER ...`. In each folder are `model.keras` and
`data.npz`; `results.npz` is written into it. The data hold
`images` of shape `(steps, batch, height, width, channels)` and, if the masks
are given, their indices. A folder may also have `checkpoints` of that model, to
which it returns at the end.
"""

import pathlib
import sys

import keras
import numpy as np
from keras import ops

from keras_capi.callbacks import Checkpoint


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
    for folder in map(pathlib.Path, sys.argv[1:]):
        with np.load(folder / "data.npz") as data:
            model = keras.saving.load_model(folder / "model.keras")
            results = run(model, dict(data))
            if (folder / "checkpoints").exists():
                checkpoint = Checkpoint(folder / "checkpoints")
                batch = {name: values[0] for name, values in data.items()}
                results["position"] = checkpoint.restore(model, batch)
                checkpoint.release()
                restored = model.student.get_weights()
                results |= {f"restored/{i}": w for i, w in enumerate(restored)}
        np.savez(folder / "results.npz", **results)
