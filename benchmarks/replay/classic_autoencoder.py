"""The denoising autoencoder of 2008: one layer, there and back."""

import keras
import numpy as np
from keras import ops

from benchmarks.replay.denoising_autoencoder_model import make_corruption
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from benchmarks.replay.weights import to_numpy

NAMES = ("W", "hidden_bias", "visible_bias")


class ClassicAutoencoder(keras.Model):
    """Tied weights, sigmoids and cross-entropy, on given corrupted values."""

    def __init__(self, visible, hidden):
        super().__init__()
        shapes = ((hidden, visible), (hidden,), (visible,))
        for name, shape in zip(NAMES, shapes, strict=True):
            setattr(self, name, self.add_weight(shape, name=name))
        self.built = True

    def encode(self, corrupted):
        kernel = ops.transpose(self.W)
        return ops.sigmoid(ops.matmul(corrupted, kernel) + self.hidden_bias)

    def call(self, corrupted):
        hidden = self.encode(corrupted)
        return ops.sigmoid(ops.matmul(hidden, self.W) + self.visible_bias)

    def pairs(self, state):
        return [(getattr(self, name), state[name]) for name in NAMES]


def cross_entropy(values, predictions):
    """Of each sample: a sum over components, which Keras's would average."""
    return -ops.sum(
        values * ops.log(predictions)
        + (1.0 - values) * ops.log(1.0 - predictions),
        axis=-1,
    )


def corrupt(values, uniform, level):
    """Corrupts vectors, by the layer that corrupts images."""
    size = (len(values), 1, -1, 1)
    # Values are no images: as they are between 0 and 1, they stay.
    corruption = make_corruption("masking", level, 1, mean=0.0, std=1.0)
    outputs = corruption(values.reshape(size), noise=uniform.reshape(size))
    return to_numpy(outputs["corrupted_images"]).reshape(values.shape)


def replay_classic(arrays, config):
    """Returns results by group, and the uses of what went in.

    Args:
        arrays: Dictionary of arrays, without the prefix of their names.
        config: Dictionary, the part of the configuration.
    """
    inputs = {
        "x": "values of the forward pass",
        "uniform": "noise of the forward pass",
        "train/x": "values of the training steps",
        "train/uniform": "noise of the training steps",
    }
    inputs |= {
        name: "loaded into the model"
        for name in arrays
        if name.startswith("weights/")
    }
    level = config["level"]
    corrupted = corrupt(arrays["x"], arrays["uniform"], level)
    model = _make_model(arrays, config, 1.0)
    forward = {
        "corrupted": corrupted,
        "hidden": to_numpy(model.encode(corrupted)),
        "reconstruction": to_numpy(model(corrupted)),
    }
    before = _state(model)
    loss = model.train_on_batch(corrupted, arrays["x"])
    after = _state(model)
    gradients = {name: before[name] - after[name] for name in NAMES}
    model = _make_model(arrays, config, config["lr"])
    losses = [
        model.train_on_batch(corrupt(x, uniform, level), x)
        for x, uniform in zip(
            arrays["train/x"], arrays["train/uniform"], strict=True
        )
    ]
    results = {
        "forward": forward,
        "gradients": named("grad/", gradients),
        "losses": {
            "loss": np.float64(loss),
            "train/losses": np.array(losses, "float64"),
        },
        "final": named("final/", _state(model)),
    }
    return results, inputs


def _make_model(arrays, config, rate):
    model = ClassicAutoencoder(config["visible"], config["hidden"])
    assign(model.pairs(under(arrays, "weights/")))
    model.compile(keras.optimizers.SGD(rate), loss=cross_entropy)
    return model


def _state(model):
    return {name: to_numpy(getattr(model, name)) for name in NAMES}
