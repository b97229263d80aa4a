import keras
import numpy as np
from keras import ops

from keras_capi.layers.add_state import add_state
from keras_capi.ops.collectives import gather_samples
from keras_capi.validation import check_positive_integer

# Stands for a missing cluster, or a missing image number.
NOTHING = -100


@keras.saving.register_keras_serializable(package="keras_capi")
class EmbeddingMemory(keras.layers.Layer):
    """Stores the embeddings of an epoch's images, and their clusters.

    For methods that cluster a data set between epochs without an extra pass
    over it: each training batch stores its embeddings, row by row. `labels` are
    the clusters computed from them, indexed by the number of the image. In
    distributed training each replica stores the global batch.

    Args:
        num_images: Integer. Number of images of the data set.
        num_views: Integer. Number of embeddings of each image.
        num_labels: Integer. Number of clusterings.

    Call arguments:
        indices: Integer tensor of shape `(batch,)`: the numbers of the images.
        embeddings: Float tensor of shape `(batch, num_views, width)`.

    Output shape:
        None: the layer returns nothing.

    Example:

    >>> memory = keras_capi.layers.EmbeddingMemory(8, 2, 1)
    >>> memory(np.arange(4), keras.random.normal((4, 2, 16)))

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), appendix D (DeepCluster-v2)
    """

    def __init__(self, num_images, num_views, num_labels, **kwargs):
        # If a `keras.RematScope` recomputed it, it would store a batch twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        for name, value in (
            ("num_images", num_images),
            ("num_views", num_views),
            ("num_labels", num_labels),
        ):
            check_positive_integer(name, value)
        self.num_images = num_images
        self.num_views = num_views
        self.num_labels = num_labels

    def build(self, indices_shape, embeddings_shape):
        nothing = keras.initializers.Constant(NOTHING)
        rows = (self.num_images, self.num_views, embeddings_shape[-1])
        self.embeddings = add_state(self, "embeddings", rows)
        self.indices = add_state(
            self, "indices", (self.num_images,), "int32", nothing
        )
        self.labels = add_state(
            self, "labels", (self.num_labels, self.num_images), "int32", nothing
        )
        self.position = add_state(self, "position", (), "int32")

    def call(self, indices, embeddings):
        indices, _ = gather_samples(ops.cast(indices, "int32"))
        embeddings, _ = gather_samples(ops.stop_gradient(embeddings))
        position = ops.convert_to_tensor(self.position)
        batch_size = ops.shape(indices)[0]
        # In an epoch longer than the data set, the oldest are overwritten.
        rows = (position + ops.arange(batch_size, dtype="int32")) % (
            self.num_images
        )
        for variable, values in (
            (self.indices, indices),
            (self.embeddings, embeddings),
        ):
            former = ops.convert_to_tensor(variable)
            values = ops.cast(values, variable.dtype)
            variable.assign(ops.scatter_update(former, rows[:, None], values))
        self.position.assign(position + batch_size)

    def rewind(self):
        """Lets the next batch start at the first row."""
        self.position.assign(ops.zeros((), "int32"))

    def is_full(self):
        """Returns whether this epoch has filled all rows."""
        position = int(ops.convert_to_numpy(self.position))
        return position >= self.num_images

    def filled(self):
        """Returns the numbers and embeddings of the images seen so far.

        Returns:
            Tuple of NumPy arrays of shapes `(rows,)` and `(rows, num_views,
            width)`.
        """
        indices = ops.convert_to_numpy(self.indices)
        rows = np.flatnonzero(indices >= 0)
        return indices[rows], ops.convert_to_numpy(self.embeddings)[rows]

    def compute_output_spec(self, indices, embeddings):
        return None

    def get_config(self):
        return {
            **super().get_config(),
            "num_images": self.num_images,
            "num_views": self.num_views,
            "num_labels": self.num_labels,
        }
