import functools

import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.targets.feature_queue import FeatureQueue
from keras_capi.layers.targets.patch_targets import PatchTargets
from keras_capi.ops.attach_gradients import attach_gradients
from keras_capi.ops.clustering.chunks import choose_chunk_size
from keras_capi.ops.clustering.chunks import sum_over_chunks
from keras_capi.ops.clustering.sinkhorn import sinkhorn_knopp
from keras_capi.ops.linear_gradients import linear_gradients
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.ops.losses.cross_entropy import soft_cross_entropy
from keras_capi.ops.losses.cross_entropy import soft_cross_entropy_gradient
from keras_capi.ops.normalization import l2_normalize
from keras_capi.ops.tokens import gather_tokens_in_range
from keras_capi.ops.tokens import slice_tokens
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer

# A score that gives no share to any cluster.
NOTHING = -1e30
# Used if the batch size is unknown when a step is compiled.
ASSUMED_BATCH_SIZE = 64
balance = backend.compiled_function(sinkhorn_knopp)


@keras.saving.register_keras_serializable(package="keras_capi")
class OnlineClustering(PatchTargets):
    """Clusters patch features online, with balanced clusters.

    A linear layer scores L2-normalised features against the clusters. The
    Sinkhorn-Knopp algorithm turns the scores of a batch into soft assignments
    that use all clusters equally. The clustering loss trains the layer to
    predict these assignments. No gradient flows into the features or the
    assignments: the clustering trains separately from everything else, which
    makes CAPI stable.

    By default assignments are balanced over the batch at each position
    separately. Otherwise clusters could encode positions instead of content.
    This needs about as many images in a batch as there are clusters; smaller
    batches can be balanced together with a queue of earlier images.

    With many clusters the scores take much memory. Given `predict_indices`, the
    layer returns the assignments of those patches only, and computes a few
    positions at a time, without a `(batch, patches, num_clusters)` tensor.

    Args:
        num_clusters: Integer. Number of clusters. Defaults to `16384`.
        target_temperature: Float. Divides the scores before balancing. Defaults
            to `0.06`.
        prediction_temperature: Float. Divides the scores that learn to predict
            the assignments. Defaults to `0.12`.
        num_iterations: Integer. Sinkhorn-Knopp iterations. Defaults to `3`.
        positionwise: Boolean. Whether to balance each position separately,
            instead of all patches of the batch together. Defaults to `True`.
        use_bias: Boolean. Whether scores have a bias. Defaults to `True`.
        chunk_size: Integer or `None`. Number of positions to compute at a time
            if `predict_indices` is given. `None` computes about a million
            scores at a time, 64 million on accelerators, in at most 24 chunks.
            Needs `positionwise`. Defaults to `None`.
        queue_size: Integer. Number of images of earlier training batches that
            are balanced together with the current batch. With gradient
            accumulation over `s` batches, best those of `s - 1` batches. Stores
            features, `(queue_size, patches, width)` in float32. Defaults to
            `0`, as published.

    Call arguments:
        inputs: The teacher's patch features.
        predict_indices: Optional integer tensor of shape `(batch,
            predictions)`: the patches whose assignments to return.
        training: Boolean. Whether to add the batch to the queue.

    Input shape:
        `(batch, patches, width)`.

    Output shape:
        A tuple: assignments of shape `(batch, patches, num_clusters)`, or
        `(batch, predictions, num_clusters)`, each summing to 1, and the
        clustering loss over all patches, a scalar in nats. Both float32.

    Example:

    >>> features = keras.random.normal((8, 6, 32))
    >>> clustering = keras_capi.layers.OnlineClustering(num_clusters=4)
    >>> assignments, loss = clustering(features)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.2 (positional
      clustering)
    """

    loss_weights = {"clustering_loss": 1.0}

    def __init__(
        self,
        num_clusters=16384,
        target_temperature=0.06,
        prediction_temperature=0.12,
        num_iterations=3,
        positionwise=True,
        use_bias=True,
        chunk_size=None,
        queue_size=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_integer("num_clusters", num_clusters)
        check_positive_integer("num_iterations", num_iterations)
        check_positive("target_temperature", target_temperature)
        check_positive("prediction_temperature", prediction_temperature)
        check_non_negative_integer("queue_size", queue_size)
        check_positive_integer("chunk_size", chunk_size, or_none=True)
        if chunk_size is not None and not positionwise:
            raise ValueError(
                "`chunk_size` needs `positionwise`: otherwise all "
                "positions are balanced together. Received: "
                f"chunk_size={chunk_size}, positionwise=False"
            )
        self.num_clusters = num_clusters
        self.target_temperature = target_temperature
        self.prediction_temperature = prediction_temperature
        self.num_iterations = num_iterations
        self.positionwise = positionwise
        self.use_bias = use_bias
        self.chunk_size = chunk_size
        self.queue_size = queue_size
        self.queue = None
        if queue_size:
            self.queue = FeatureQueue(queue_size, name="queue")

    def build(self, input_shape):
        # Named so that the optimizer finds them whatever the layer is called.
        self.kernel = self.add_weight(
            name="cluster_kernel",
            shape=(input_shape[-1], self.num_clusters),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )
        self.bias = None
        if self.use_bias:
            # Added in float32, after the product.
            self.bias = self.add_weight(
                name="cluster_bias",
                shape=(self.num_clusters,),
                initializer="zeros",
                autocast=False,
            )
        if self.queue is not None:
            self.queue.build(input_shape)

    def call(self, inputs, predict_indices=None, training=None):
        features = ops.stop_gradient(inputs)
        if predict_indices is None:
            logits = self.logits(features)
            sharpened = logits / self.target_temperature
            score = self._scorer(self.target_temperature)
            assignments = self._assign_in_training(sharpened, score)
            loss = soft_cross_entropy(
                assignments, logits, self.prediction_temperature
            )
        else:
            assignments, loss = self._assign_chunks(features, predict_indices)
        if self.queue is not None and training:
            self.queue(features)
        return assignments, loss

    def make_targets(self, patches, predict_indices, score, training=None):
        targets, loss = self(patches, predict_indices, training=training)
        others = {"clustering_loss": loss, "target_entropy": entropy(targets)}
        return targets, others

    def _assign_chunks(self, features, predict_indices):
        """Computes loss, gradients and some assignments, chunk by chunk."""
        num_images, num_patches, _ = features.shape
        chunk_size = self.chunk_size or num_patches
        if self.chunk_size is None and self.positionwise:
            num_scores = (num_images or ASSUMED_BATCH_SIZE) * self.num_clusters
            chunk_size = choose_chunk_size(num_patches, num_scores)
        # Here, as each operation of a chunk is repeated in the others.
        normalized = self._normalize(features)
        score = self._scorer(self.target_temperature)
        targets_shape = (*ops.shape(predict_indices), self.num_clusters)
        *sums, targets = sum_over_chunks(
            functools.partial(
                self._assign_chunk, normalized, score, predict_indices
            ),
            num_patches,
            chunk_size,
            ((), self.kernel.shape, (self.num_clusters,), targets_shape),
        )
        count = ops.cast(ops.shape(features)[0] * num_patches, "float32")
        loss, *gradients = (x / count for x in sums)
        gradients = [x / self.prediction_temperature for x in gradients]
        weights = [x for x in (self.kernel, self.bias) if x is not None]
        pairs = list(zip(weights, gradients, strict=False))
        return targets, attach_gradients(loss, pairs)

    def _assign_chunk(self, normalized, score, predict_indices, start, size):
        """Computes one chunk's part of loss, gradients and targets."""
        normalized = slice_tokens(normalized, start, size)
        logits = ops.stop_gradient(score(normalized))
        assignments = self._assign_in_training(logits, score, start)
        ratio = self.target_temperature / self.prediction_temperature
        loss, errors = soft_cross_entropy_gradient(assignments, logits * ratio)
        targets = gather_tokens_in_range(assignments, predict_indices, start)
        return loss, *linear_gradients(normalized, errors), targets

    def _assign_in_training(self, logits, score, start=0):
        """Balances over all replicas, and the queue if there is one."""
        logits = ops.stop_gradient(logits)
        if self.queue is None:
            return self._balance(logits, across_replicas=True)
        earlier = slice_tokens(self.queue.features, start, logits.shape[1])
        earlier = score(self._normalize(earlier))
        is_filled = self.queue.is_filled[:, None, None]
        earlier = ops.where(is_filled, ops.stop_gradient(earlier), NOTHING)
        together = ops.concatenate([logits, earlier], axis=0)
        assignments = self._balance(together, across_replicas=True)
        return assignments[: ops.shape(logits)[0]]

    def logits(self, features):
        """Returns the scores of features against the clusters.

        Their `argmax` is the cluster of a patch, whatever else is in the batch.
        Use it to look at the clusters of single images.

        Args:
            features: Float tensor of shape `(..., width)`.

        Returns:
            Float32 tensor of shape `(..., num_clusters)`.
        """
        return self._scorer()(self._normalize(features))

    def _normalize(self, features):
        return ops.cast(l2_normalize(features, 1e-7), self.compute_dtype)

    def _scorer(self, temperature=1.0):
        """Returns a function of normalised features: scores / temperature."""
        # In a call of the layer, Keras has already cast it.
        kernel = ops.cast(self.kernel, self.compute_dtype)
        bias = None if self.bias is None else self.bias / temperature

        def score(normalized):
            # Smaller tensors are divided, as a pass over the scores takes time.
            products = backend.matrix_product(normalized / temperature, kernel)
            logits = ops.cast(products, "float32")
            return logits if bias is None else logits + bias

        return score

    def assign(self, logits, across_replicas=False):
        """Turns scores into balanced assignments.

        Args:
            logits: Float32 tensor of shape `(batch, patches, num_clusters)`.
            across_replicas: Boolean. Whether to balance over the batches of all
                replicas of a distributed training step. Defaults to `False`.

        Returns:
            Float32 tensor of the same shape.
        """
        return self._balance(logits / self.target_temperature, across_replicas)

    def _balance(self, logits, across_replicas):
        """Balances scores that are divided by the target temperature."""
        # The first axis is the batch, or all of its patches.
        settings = {"sample_axis": 0, "across_replicas": across_replicas}
        settings["num_iterations"] = self.num_iterations
        if self.positionwise:
            return balance(logits, **settings)
        flat = ops.reshape(logits, (-1, self.num_clusters))
        return ops.reshape(balance(flat, **settings), ops.shape(logits))

    def compute_output_spec(self, inputs, predict_indices=None, training=None):
        patches = inputs if predict_indices is None else predict_indices
        shape = (*patches.shape[:2], self.num_clusters)
        return (
            keras.KerasTensor(shape, "float32"),
            keras.KerasTensor((), "float32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "target_temperature": self.target_temperature,
            "prediction_temperature": self.prediction_temperature,
            "num_iterations": self.num_iterations,
            "positionwise": self.positionwise,
            "use_bias": self.use_bias,
            "chunk_size": self.chunk_size,
            "queue_size": self.queue_size,
        }
