import keras
from keras import ops

from keras_capi.ops.cross_entropy import soft_cross_entropy
from keras_capi.ops.normalization import l2_normalize
from keras_capi.ops.sinkhorn import sinkhorn_knopp
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class OnlineClustering(keras.layers.Layer):
    """Clusters patch features as they come, with equally used clusters.

    A linear layer scores L2-normalised features against the clusters. The
    Sinkhorn-Knopp algorithm turns the scores of a batch into soft assignments
    that use all clusters equally, and the layer learns to predict those: that
    is its loss. The features and the assignments get no gradient, so clustering
    is trained apart from all else, which makes CAPI stable.

    By default the assignments are balanced position by position, over the
    batch: otherwise clusters could stand for places instead of contents.

    Args:
        num_clusters: Integer. Defaults to `16384`.
        target_temperature: Float. Divides the scores before balancing. Defaults
            to `0.06`.
        prediction_temperature: Float. Divides the scores that are trained
            towards the assignments. Defaults to `0.12`.
        num_iterations: Integer. Sinkhorn-Knopp iterations. Defaults to `3`.
        positionwise: Boolean. Whether to balance each position on its own;
            otherwise over all patches of the batch. Defaults to `True`.
        use_bias: Boolean. Defaults to `True`.

    Input shape:
        `(batch, patches, width)`: the teacher's patch features.

    Output shape:
        A tuple: assignments of shape `(batch, patches, num_clusters)`, each
        summing to 1, and the clustering loss, a scalar in nats. Both float32.

    Example:

    >>> features = keras.random.normal((8, 6, 32))
    >>> clustering = keras_capi.layers.OnlineClustering(num_clusters=4)
    >>> assignments, loss = clustering(features)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.2 (positional
      clustering)
    """

    def __init__(
        self,
        num_clusters=16384,
        target_temperature=0.06,
        prediction_temperature=0.12,
        num_iterations=3,
        positionwise=True,
        use_bias=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_integer("num_clusters", num_clusters)
        check_positive_integer("num_iterations", num_iterations)
        for name, temperature in (
            ("target_temperature", target_temperature),
            ("prediction_temperature", prediction_temperature),
        ):
            if not temperature > 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={temperature}"
                )
        self.num_clusters = num_clusters
        self.target_temperature = target_temperature
        self.prediction_temperature = prediction_temperature
        self.num_iterations = num_iterations
        self.positionwise = positionwise
        self.use_bias = use_bias

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

    def call(self, inputs):
        logits = self.logits(ops.stop_gradient(inputs))
        assignments = self.assign(
            ops.stop_gradient(logits), across_replicas=True
        )
        loss = soft_cross_entropy(
            assignments, logits, self.prediction_temperature
        )
        return assignments, loss

    def logits(self, features):
        """Returns the scores of features against the clusters.

        Their `argmax` is the cluster of a patch by itself, whatever the batch:
        use it to look at the clusters of single images.

        Args:
            features: Float tensor of shape `(..., width)`.

        Returns:
            Float32 tensor of shape `(..., num_clusters)`.
        """
        features = l2_normalize(features, epsilon=1e-7)
        features = ops.cast(features, self.compute_dtype)
        # Calls of the layer cast by themselves.
        kernel = ops.cast(self.kernel, self.compute_dtype)
        logits = ops.cast(ops.matmul(features, kernel), "float32")
        return logits if self.bias is None else logits + self.bias

    def assign(self, logits, across_replicas=False):
        """Returns the balanced assignments of scores.

        Args:
            logits: Float32 tensor of shape `(batch, patches, num_clusters)`.
            across_replicas: Boolean. Whether to balance over the batches of all
                replicas of a distributed training step. Defaults to `False`.

        Returns:
            Float32 tensor of the same shape.
        """
        logits = logits / self.target_temperature
        options = {
            "num_iterations": self.num_iterations,
            "across_replicas": across_replicas,
        }
        if self.positionwise:
            # Balanced over the batch.
            return sinkhorn_knopp(logits, sample_axis=0, **options)
        flat = ops.reshape(logits, (-1, self.num_clusters))
        assignments = sinkhorn_knopp(flat, **options)
        return ops.reshape(assignments, ops.shape(logits))

    def compute_output_spec(self, inputs):
        return (
            keras.KerasTensor(
                (*inputs.shape[:-1], self.num_clusters), "float32"
            ),
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
        }
