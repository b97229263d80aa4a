import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.layers.heads.swav_head import SwAVHead
from keras_capi.layers.heads.unit_prototypes import UnitPrototypes
from keras_capi.layers.targets.embedding_memory import NOTHING
from keras_capi.layers.targets.embedding_memory import EmbeddingMemory
from keras_capi.methods.inputs.numbered_images import check_known_numbers
from keras_capi.methods.inputs.numbered_images import check_numbered
from keras_capi.methods.inputs.numbered_images import list_batches
from keras_capi.methods.inputs.view_inputs import encode_all_views
from keras_capi.methods.inputs.view_inputs import prepare_views
from keras_capi.methods.inputs.view_inputs import several_sizes
from keras_capi.methods.shared.between_epochs import TargetsBetweenEpochs
from keras_capi.methods.shared.multi_crop_clustering import PUBLISHED_EPOCHS
from keras_capi.methods.shared.multi_crop_clustering import (
    MultiCropClusteringMixin,
)
from keras_capi.methods.shared.multi_crop_clustering import clustering_views
from keras_capi.ops.clustering.spherical_kmeans import spherical_kmeans
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.ops.losses.masked_mean import masked_mean
from keras_capi.ops.losses.view_cross_entropy import take_views
from keras_capi.training.built_part import built_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.validation import check_each
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class DeepCluster(MultiCropClusteringMixin, TargetsBetweenEpochs):
    """Pretrains an encoder by predicting clusters that are made between epochs.

    DeepCluster v2. The embeddings of the crops of an epoch are kept, and
    clustered by k-means before the next epoch, several times with their own
    numbers of clusters. The centroids become the prototypes, and each crop has
    to predict the cluster of its image. `fit` does the clustering by itself.

    Images are recognised by their numbers. `fit` numbers those of arrays and of
    this package's data sets; other data sets must provide `"indices"` beside
    `"images"`.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        num_prototypes: Sequence of integers: the number of clusters of each
            clustering. Defaults to `(3000, 3000, 3000)`.
        views: Layer that turns images into `"global_views"` and
            `"local_views"`, or `None` for `SwAV`'s. Defaults to `None`.
        head: Layer that turns features into vectors of length 1, or `None` for
            `keras_capi.layers.SwAVHead`. Defaults to `None`.
        temperature: Float. Divides the scores before the softmax. Defaults to
            `0.1`.
        num_iterations: Integer. Iterations of k-means. Defaults to `10`.
        memory_views: Tuple of integers. Indices of the views whose embeddings
            are kept, large views first; the clusterings take turns using them.
            Defaults to `(0, 1)`.
        num_images: Integer, the size of the data set, or `None` to learn it in
            `fit`. Defaults to `None`.
        seed: Integer or `None`. Seed of the default views, and of the first
            centroids of each epoch. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably larger than the views; or a dictionary of `"images"` and
        `"indices"`, integers of shape `(batch,)`. Views of your own may replace
        the images, as in `keras_capi.methods.SwAV`.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> model = keras_capi.methods.DeepCluster(encoder, num_prototypes=(8, 6))
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 48, 48, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), appendix D (DeepCluster-v2)
    """

    loss_weights = {"cluster_loss": 1.0}
    instead_of_images = ("global_views",)
    other_inputs = ("indices",)
    frozen_epochs = PUBLISHED_EPOCHS

    def __init__(
        self,
        encoder,
        num_prototypes=(3000, 3000, 3000),
        views=None,
        head=None,
        temperature=0.1,
        num_iterations=10,
        memory_views=(0, 1),
        num_images=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_positive("temperature", temperature)
        check_positive_integer("num_iterations", num_iterations)
        check_positive_integer("num_images", num_images, or_none=True)
        check_seed("seed", seed)
        self.num_prototypes = check_each(
            "num_prototypes", num_prototypes, check_positive_integer
        )
        self.memory_views = check_each(
            "memory_views", memory_views, check_non_negative_integer
        )
        self.temperature = temperature
        self.num_iterations = num_iterations
        self.seed = seed
        self.encoder = encoder
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            self.views = several_sizes(views, encoder, clustering_views, seed)
            self.head = head or SwAVHead(dtype=self.dtype_policy, name="head")
            features = keras.KerasTensor((None, encoder.global_dim))
            built_part("head", self.head, features.shape)
            self.embedding_dim = self.head.compute_output_spec(features).shape[
                -1
            ]
            self.prototypes = [
                UnitPrototypes(
                    count, dtype=self.dtype_policy, name=f"prototypes_{number}"
                )
                for number, count in enumerate(self.num_prototypes)
            ]
            for layer in self.prototypes:
                layer.build((None, self.embedding_dim))
        if num_images is not None:
            self.make_memory(num_images)
        # Whether the targets are of a batch that was trained on outside `fit`.
        self._knows_one_batch = False
        self.built = True

    def make_memory(self, num_images):
        """Makes room for the embeddings and clusters of a data set.

        Args:
            num_images: Integer.
        """
        num_views = len(self.memory_views)
        self.memory = EmbeddingMemory(
            num_images, num_views, len(self.prototypes), name="memory"
        )
        self.memory.build((None,), (None, num_views, self.embedding_dim))

    def prepare(self, inputs, training):
        check_numbered(inputs)
        self.check_inputs(inputs)
        return prepare_views(inputs, self.encoder, self.views)

    def compute_losses(self, inputs, training):
        indices = ops.cast(inputs["indices"], "int32")
        features = encode_all_views(self.encoder, inputs, training)
        embeddings = self.head(features, training=training)
        labels = ops.take(self.memory.labels, indices, axis=1)
        losses = [
            self._cluster_loss(labels[number], layer(embeddings))
            for number, layer in enumerate(self.prototypes)
        ]
        if training:
            self.memory(indices, take_views(embeddings, self.memory_views))
        return {"cluster_loss": ops.mean(ops.stack(losses))}

    def _cluster_loss(self, labels, scores):
        """Averages the loss over all views of images that have a cluster."""
        of_views = ops.repeat(labels[:, None], scores.shape[1], axis=1)
        losses = label_cross_entropy(
            ops.maximum(of_views, 0), scores / self.temperature
        )
        return masked_mean(losses, of_views >= 0)

    def remember(self, inputs):
        """Stores the embeddings of a batch without training on it.

        Each view goes through the head on its own, in training mode.

        Args:
            inputs: Dictionary of a batch, as for a training step.
        """
        prepared = self.prepare(inputs, True)
        features = encode_all_views(self.encoder, prepared, True)
        embeddings = [
            self.head(features[:, view], training=True)
            for view in self.memory_views
        ]
        self.memory(prepared["indices"], ops.stack(embeddings, axis=1))

    def assign_clusters(self, seed=None, starts=None):
        """Clusters the memory, and makes the centroids the prototypes.

        Args:
            seed: Integer, sequence of integers, or `None`. Seed of the first
                centroids. Defaults to `None`.
            starts: Sequence of permutations of the memory's rows, of which the
                leading rows are the first centroids; `None` draws them.
                Defaults to `None`.
        """
        indices, embeddings = self.memory.filled()
        generator = np.random.default_rng(seed)
        labels = np.full(self.memory.labels.shape, NOTHING, "int32")
        for number, layer in enumerate(self.prototypes):
            if starts is None:
                order = generator.permutation(len(indices))
            else:
                order = starts[number]
            # The memories of the views take turns.
            vectors = embeddings[:, number % len(self.memory_views)]
            first_rows = np.resize(order, layer.num_prototypes)
            centroids, assignments = map(
                backend.from_first_process,
                spherical_kmeans(vectors, first_rows, self.num_iterations),
            )
            layer.kernel.assign(centroids.T)
            labels[number, indices] = assignments
        self.memory.labels.assign(labels)

    def begin_epoch(self, epoch, data, batch_size):
        position = int(ops.convert_to_numpy(self.memory.position))
        if position and not self._knows_one_batch:
            # The epoch was interrupted, and has its clusters already.
            return
        if self._knows_one_batch or not len(self.memory.filled()[0]):
            self.memory.rewind()
            self._knows_one_batch = False
            for batch in list_batches(data, batch_size):
                check_known_numbers(batch, self.memory.num_images)
                self.remember(backend.global_batch(batch))
                # A data set may be endless, with `steps_per_epoch`.
                if self.memory.is_full():
                    break
            self.memory.rewind()
        self.assign_clusters(seed=(self.seed or 0, epoch))

    def end_epoch(self):
        self.memory.rewind()

    def begin_with_batch(self, batch):
        check_known_numbers(batch, self.memory.num_images)
        self._knows_one_batch = True
        self.remember(backend.global_batch(batch))
        self.memory.rewind()
        self.assign_clusters(seed=self.seed or 0)

    def list_prototypes(self):
        return self.prototypes

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "num_prototypes": self.num_prototypes,
            "views": serialize(self.views),
            "head": serialize(self.head),
            "temperature": self.temperature,
            "num_iterations": self.num_iterations,
            "memory_views": self.memory_views,
            "num_images": self.memory and self.memory.num_images,
            "seed": self.seed,
        }
