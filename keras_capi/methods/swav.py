import keras
from keras import ops

from keras_capi.layers.heads.swav_head import SwAVHead
from keras_capi.layers.heads.unit_prototypes import UnitPrototypes
from keras_capi.layers.targets.feature_queue import FeatureQueue
from keras_capi.methods.inputs.view_inputs import encode_all_views
from keras_capi.methods.inputs.view_inputs import prepare_views
from keras_capi.methods.inputs.view_inputs import several_sizes
from keras_capi.methods.shared.check_several_images import check_several_images
from keras_capi.methods.shared.multi_crop_clustering import (
    MultiCropClusteringMixin,
)
from keras_capi.methods.shared.multi_crop_clustering import clustering_views
from keras_capi.ops.clustering.sinkhorn import NO_EPSILON
from keras_capi.ops.clustering.sinkhorn import sinkhorn_knopp
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.ops.losses.view_cross_entropy import take_views
from keras_capi.ops.losses.view_cross_entropy import view_cross_entropy
from keras_capi.training.built_part import built_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_each
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

# A score so low that its assignment is zero.
NOTHING = -1e30


@keras.saving.register_keras_serializable(package="keras_capi")
class SwAV(MultiCropClusteringMixin, Pretraining):
    """Pretrains an encoder by swapping the cluster assignments of views.

    Two large and several small crops of each image are projected to vectors of
    length 1 and scored against prototypes. For each large crop by itself, the
    Sinkhorn-Knopp algorithm turns the scores of a batch into soft assignments
    that use all prototypes equally; the scores of all other crops of the image
    have to predict them. There is no teacher, so a step costs less than DINO's.
    As crops are compared, each image should show a single subject.

    Use a queue if batches have fewer images than there are prototypes. On
    TensorFlow and torch each device has its own queue.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        num_prototypes: Integer. Number of prototypes. Defaults to `3000`.
        views: Layer that turns images into `"global_views"` and
            `"local_views"`, or `None` for `keras_capi.layers.MultiCrop` with
            the encoder's image size and six local views of three sevenths of
            it. Defaults to `None`.
        head: Layer that turns features into vectors of length 1, or `None` for
            `keras_capi.layers.SwAVHead`. Defaults to `None`.
        temperature: Float. Divides the scores that make the predictions.
            Defaults to `0.1`.
        epsilon: Float. Divides the scores that are balanced: the smaller, the
            harder the assignments. The authors advise `0.03` if the training
            collapses. Defaults to `0.05`.
        num_iterations: Integer. Sinkhorn-Knopp iterations. Defaults to `3`.
        assigned_views: Tuple of integers. Indices of the views that get
            assignments, large views first. Defaults to `(0, 1)`.
        queue_size: Integer. How many images of earlier batches are balanced
            together with the current one, once the queue is full; preferably a
            multiple of the batch size. Defaults to `0`; 3840 is published for
            batches of 256.
        queue_start: Integer. Number of updates before the queue starts to fill;
            15 epochs are published. Defaults to `0`.
        seed: Integer or `None`. Seed of the default views. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably larger than the views; or a dictionary with your own views,
        `{"global_views": (batch, 2, height, width, channels), "local_views":
        (batch, count, ...)}`, the latter of a different size, or left out.
        Views of further sizes may have other names that end in `"_views"`; they
        are counted in alphabetical order.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> model = keras_capi.methods.SwAV(encoder, num_prototypes=64)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 48, 48, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882)
    """

    loss_weights = {"swav_loss": 1.0}
    instead_of_images = ("global_views",)

    def __init__(
        self,
        encoder,
        num_prototypes=3000,
        views=None,
        head=None,
        temperature=0.1,
        epsilon=0.05,
        num_iterations=3,
        assigned_views=(0, 1),
        queue_size=0,
        queue_start=0,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_positive("temperature", temperature)
        check_positive("epsilon", epsilon)
        check_positive_integer("num_iterations", num_iterations)
        check_non_negative_integer("queue_size", queue_size)
        check_non_negative_integer("queue_start", queue_start)
        check_seed("seed", seed)
        self.temperature = temperature
        self.epsilon = epsilon
        self.num_iterations = num_iterations
        self.assigned_views = check_each(
            "assigned_views", assigned_views, check_non_negative_integer
        )
        self.queue_size = queue_size
        self.queue_start = queue_start
        self.seed = seed
        self.encoder = encoder
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            self.views = several_sizes(views, encoder, clustering_views, seed)
            self.head = head or SwAVHead(dtype=self.dtype_policy, name="head")
            built_part("head", self.head, (None, encoder.global_dim))
            width = self.head.compute_output_spec(
                keras.KerasTensor((None, encoder.global_dim))
            ).shape[-1]
            self.prototypes = UnitPrototypes(
                num_prototypes, dtype=self.dtype_policy, name="prototypes"
            )
            self.prototypes.build((None, width))
            self.queue = None
            if queue_size:
                self.queue = FeatureQueue(queue_size, name="queue")
                self.queue.build((None, len(self.assigned_views), width))
        self.built = True

    @property
    def num_prototypes(self):
        """The number of prototypes that an image is distributed over."""
        return self.prototypes.num_prototypes

    def check_batch_size(self, batch_size):
        if self.queue is None:
            remedy = "set `batch_size`, or a `queue_size`"
            check_several_images(self, batch_size, remedy)

    def prepare(self, inputs, training):
        self.check_inputs(inputs)
        return prepare_views(inputs, self.encoder, self.views)

    def compute_losses(self, inputs, training):
        features = encode_all_views(self.encoder, inputs, training)
        embeddings = self.head(features, training=training)
        scores = self.prototypes(embeddings)
        targets = self.assign(take_views(scores, self.assigned_views))
        if self.queue is not None and training:
            self.queue(take_views(embeddings, self.assigned_views))
        return {
            "swav_loss": view_cross_entropy(
                targets, scores, self.temperature, self.assigned_views
            ),
            "target_entropy": entropy(targets),
        }

    def assign(self, scores):
        """Returns balanced assignments, for each view by itself.

        Args:
            scores: Float tensor of shape `(batch, assigned_views,
                num_prototypes)`.

        Returns:
            Float32 tensor of the same shape, without a gradient, that sums to 1
            over the prototypes.
        """
        scores = together = ops.stop_gradient(scores)
        if self.queue is not None:
            # Scored against the current prototypes.
            earlier = ops.convert_to_tensor(self.queue.features)
            earlier = ops.stop_gradient(self.prototypes(earlier))
            earlier = ops.where(self.queue.is_full, earlier, NOTHING)
            together = ops.concatenate([scores, earlier], axis=0)
        assignments = sinkhorn_knopp(
            together / self.epsilon,
            self.num_iterations,
            NO_EPSILON,
            sample_axis=0,
            across_replicas=True,
        )
        return assignments[: ops.shape(scores)[0]]

    def before_update(self, step):
        self.prototypes.normalize()

    def after_update(self, step, applied):
        if self.queue is not None:
            self.queue.clear(step < self.queue_start)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "num_prototypes": self.num_prototypes,
            "views": serialize(self.views),
            "head": serialize(self.head),
            "temperature": self.temperature,
            "epsilon": self.epsilon,
            "num_iterations": self.num_iterations,
            "assigned_views": self.assigned_views,
            "queue_size": self.queue_size,
            "queue_start": self.queue_start,
            "seed": self.seed,
        }
