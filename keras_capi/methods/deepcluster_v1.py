import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.heads.alexnet_head import AlexNetHead
from keras_capi.layers.related_seed import related_seed
from keras_capi.layers.targets.embedding_memory import NOTHING
from keras_capi.layers.targets.image_labels import NO_EPOCH
from keras_capi.layers.targets.image_labels import ImageLabels
from keras_capi.layers.views.random_resized_crop import RandomResizedCrop
from keras_capi.methods.inputs.numbered_arrays import NumberedArrays
from keras_capi.methods.inputs.numbered_images import BATCH_SIZE
from keras_capi.methods.inputs.numbered_images import check_any_can_load
from keras_capi.methods.inputs.numbered_images import check_can_draw
from keras_capi.methods.inputs.numbered_images import check_numbered
from keras_capi.methods.inputs.numbered_images import list_whole
from keras_capi.methods.inputs.single_view import check_single_views
from keras_capi.methods.inputs.single_view import prepare_single_views
from keras_capi.methods.inputs.view_inputs import built_views
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.methods.shared.between_epochs import TargetsBetweenEpochs
from keras_capi.methods.shared.cluster_whitened import cluster_whitened
from keras_capi.methods.shared.gather_features import gather_features
from keras_capi.methods.shared.sample_clusters import sample_clusters
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.ops.losses.masked_mean import masked_mean
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.sgd import SGD
from keras_capi.training.built_part import built_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

# Standard deviation of the weights of a new classifier.
STANDARD_DEVIATION = 0.01


@keras.saving.register_keras_serializable(package="keras_capi")
class DeepClusterV1(TargetsBetweenEpochs):
    """Pretrains an encoder by predicting clusters of its own features.

    The first version. Before each epoch the features of all images are reduced
    to whitened principal components of length 1, and clustered by k-means. A
    new linear layer then predicts the cluster of an image from a random crop of
    it; clusters are drawn equally often, whatever their size. `fit` clusters by
    itself, in a pass over the data set that the second version,
    `keras_capi.methods.DeepCluster`, does not need.

    `fit` numbers the images of arrays, of `keras_capi.data.AugmentedImages`
    and of `keras_capi.data.RandomCrops`.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        num_clusters: Integer. Number of clusters; capped at the number of
            images. Defaults to `10000`.
        num_components: Integer. Number of principal components to cluster;
            capped at what features and images allow. Defaults to `256`.
        views: Layer that makes one view of each image, a random one in
            training, or `None` for `keras_capi.layers.RandomResizedCrop` as
            published. Defaults to `None`.
        head: Layer from the encoder's features to those that are clustered, and
            classified after a ReLU, or `None` for
            `keras_capi.layers.AlexNetHead`. Defaults to `None`.
        num_iterations: Integer. Iterations of k-means. Defaults to `20`.
        num_images: Integer, the size of the data set, or `None` to learn it in
            `fit`. Defaults to `None`.
        seed: Integer or `None`. Seed of the default views and head, of clusters
            and drawn images. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably larger than the views; or a dictionary of `"images"`, or your
        own `"views"` of the encoder's size, and `"indices"`, integers of shape
        `(batch,)`.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> model = keras_capi.methods.DeepClusterV1(
    ...     encoder, num_clusters=6, head=keras_capi.layers.AlexNetHead(64, 32)
    ... )
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 48, 48, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520)
    """

    loss_weights = {"cluster_loss": 1.0}
    instead_of_images = ("views",)

    def __init__(
        self,
        encoder,
        num_clusters=10000,
        num_components=256,
        views=None,
        head=None,
        num_iterations=20,
        num_images=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_positive_integer("num_clusters", num_clusters)
        check_positive_integer("num_components", num_components)
        check_positive_integer("num_iterations", num_iterations)
        check_positive_integer("num_images", num_images, or_none=True)
        check_seed("seed", seed)
        self.num_clusters = num_clusters
        self.num_components = num_components
        self.num_iterations = num_iterations
        self.seed = seed
        self.encoder = encoder
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            self.views = built_views(views, encoder) or RandomResizedCrop(
                *view_sizes(encoder)[0],
                scale=(0.08, 1.0),
                flip_rate=0.5,
                interpolation="bilinear",
                seed=seed,
            )
            self.head = head or AlexNetHead(
                seed=related_seed(seed, 1),
                dtype=self.dtype_policy,
                name="head",
            )
            inputs = keras.KerasTensor((None, encoder.global_dim))
            built_part("head", self.head, inputs.shape)
            self.classifier = Dense(
                num_clusters,
                kernel_initializer=keras.initializers.RandomNormal(
                    stddev=STANDARD_DEVIATION
                ),
                dtype=self.dtype_policy,
                name="classifier",
            )
            self.classifier.build(self.head.compute_output_spec(inputs).shape)
        if num_images is not None:
            self.make_memory(num_images)
        self.built = True

    def make_memory(self, num_images):
        self.memory = ImageLabels(num_images, name="memory")

    def check_inputs(self, inputs):
        check_single_views(inputs, self.encoder)

    def prepare(self, inputs, training):
        check_numbered(inputs)
        return prepare_single_views(inputs, self.encoder, self.views, training)

    def compute_losses(self, inputs, training):
        labels = self.memory(inputs["indices"])
        features = self.encoder(inputs["views"], training=training)["global"]
        features = self.head(features, training=training)
        scores = self.classifier(ops.relu(features))
        losses = label_cross_entropy(ops.maximum(labels, 0), scores)
        return {"cluster_loss": masked_mean(losses, labels >= 0)}

    def compute_features(self, batch):
        """Computes the features to cluster; on JAX, all processes together.

        Args:
            batch: Dictionary, as for a training step. It may hold no images.

        Returns:
            Float32 array of shape `(batch, width)`: features of the centre of
            each image, before the ReLU.
        """
        views = np.zeros((0, 0, 0, 0), "float32")
        if len(batch["indices"]):
            views = self.prepare(batch, training=False)["views"]
        return backend.predict_parts(self.encoder, views, self._to_clustered)

    def _to_clustered(self, features):
        features = self.head(features["global"], training=False)
        return ops.cast(features, "float32")

    def assign_clusters(self, indices, features, epoch=0):
        """Clusters features, in one process, and makes a new classifier.

        Args:
            indices: Integer array of shape `(images,)`: the images' numbers.
            features: Float32 array of shape `(images, width)`.
            epoch: Integer. Which epoch they are for. Defaults to `0`.
        """
        kernel, bias = self.classifier.kernel, self.classifier.bias
        labels = np.full((self.memory.num_images,), NOTHING, "int32")
        weights = np.zeros(kernel.shape, "float32")
        if backend.process_index() == 0:
            generator = self._generator(epoch)
            labels[indices] = cluster_whitened(
                features,
                self.num_components,
                self.num_clusters,
                self.num_iterations,
                generator,
            )
            weights[:] = generator.normal(0.0, STANDARD_DEVIATION, kernel.shape)
        self.memory.label(backend.from_first_process(labels), epoch)
        kernel.assign(backend.from_first_process(weights))
        bias.assign(np.zeros(bias.shape))

    def as_data(self, data, batch_size):
        if isinstance(data, dict):
            check_any_can_load(data, self.memory.num_images)
            return NumberedArrays(data, batch_size or BATCH_SIZE), None
        check_can_draw(data)
        return data, batch_size

    def begin_epoch(self, epoch, data, batch_size):
        if not self.memory.are_for(epoch):
            self._cluster(list_whole(data), epoch)
        # Spawned, because a resumed epoch draws fewer numbers before this.
        (generator,) = self._generator(epoch).spawn(1)
        labels = ops.convert_to_numpy(self.memory.labels)
        data.drawn_images = sample_clusters(labels, data.num_samples, generator)

    def _generator(self, epoch):
        return np.random.default_rng((self.seed or 0, epoch - NO_EPOCH))

    def end_epoch(self):
        self.memory.end_epoch()

    def begin_with_batch(self, batch):
        self._cluster([batch], epoch=NO_EPOCH)

    def _cluster(self, batches, epoch):
        width = self.classifier.kernel.shape[0]
        gathered = gather_features(batches, self.compute_features, width)
        self.assign_clusters(*gathered, epoch)

    @passes_on_to(SGD)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=0.05,
        without_momentum=("classifier",),
        **overrides,
    ):
        """Returns the published optimizer, with a constant rate.

        Args:
            total_steps: Integer. Updates of the whole training. Not used.
            batch_size: Integer. Images per batch; 256 in the paper. Not used.
            learning_rate: Float or schedule. Defaults to `0.05`.
            without_momentum: See `keras_capi.optimizers.SGD`. Defaults to the
                classifier, which is replaced in each epoch.
            **overrides: Other arguments of `keras_capi.optimizers.SGD`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        return SGD(
            **{
                "learning_rate": learning_rate,
                "without_momentum": without_momentum,
                "groups": {"classifier": Group()},
                **overrides,
            }
        )

    def parameter_groups(self):
        return {"classifier": self.classifier.trainable_variables}

    def list_unused_parts(self):
        return self.encoder.list_unused_parts(uses_global=True)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "num_clusters": self.num_clusters,
            "num_components": self.num_components,
            "views": serialize(self.views),
            "head": serialize(self.head),
            "num_iterations": self.num_iterations,
            "num_images": self.memory and self.memory.num_images,
            "seed": self.seed,
        }
