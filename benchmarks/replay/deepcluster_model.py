"""DeepCluster (v1) as a file describes it, on vectors in place of images."""

import keras
from keras import ops

import keras_capi
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign


class Vectors(keras_capi.encoders.Encoder):
    """Returns images of one pixel as they are.

    Args:
        width: Integer. Their number of channels.
    """

    def __init__(self, width):
        super().__init__(1, 1, width, 0, (1, 1, width))
        # A method wants something to train.
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        self.blocks = []
        self.finish()

    def embed(self, images, visible_indices=None):
        tokens = ops.reshape(images, (-1, 1, self.hidden_dim))
        return tokens + 0.0 * self.scale, ops.zeros((1, 1, 2))

    def encode(self, tokens, positions, layers=(), *arguments, **others):
        return self.name_outputs({1: tokens}, positions, layers)

    def list_unused_parts(self, **arguments):
        return []


def make_model(arrays, config):
    """Returns the model of a file with its initial weights and clusters.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    model = keras_capi.methods.DeepClusterV1(
        Vectors(config["dim"]),
        config["clusters"],
        config["pca"],
        head=keras.layers.Dense(config["dim"], name="body"),
        num_images=config["images"],
    )
    assign(pairs_of(model)(under(arrays, "weights/")))
    model.memory.label(arrays["kmeans/assignments"].astype("int32"), 0)
    return model


def pairs_of(model):
    """Returns the function that pairs all weights with arrays."""

    def pair(state):
        for name, layer in (
            ("body", model.head),
            ("top_layer", model.classifier),
        ):
            yield layer.kernel, state[f"{name}.weight"].T
            yield layer.bias, state[f"{name}.bias"]

    return pair


def numbered_batch(arrays, indices):
    """Returns some of the vectors, with their numbers."""
    indices = indices.astype("int32")
    vectors = arrays["features"][indices][:, None, None]
    return {"views": vectors, "indices": indices}
