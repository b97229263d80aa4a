import keras
from keras import ops

from keras_capi.encoders.backbone_weights import copy_weights
from keras_capi.layers.heads.prototype_head import PrototypeHead
from keras_capi.layers.targets.online_clustering import OnlineClustering
from keras_capi.methods.masked_prediction import MaskedPrediction
from keras_capi.ops.cross_entropy import entropy
from keras_capi.ops.cross_entropy import soft_cross_entropy
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer

DEFAULT_NUM_CLUSTERS = 16384


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPI(MaskedPrediction):
    """Pretrains a backbone by predicting clusters of hidden patches.

    In each step the teacher, a moving average of the student, encodes the whole
    images; an online clustering turns its patch features into balanced soft
    assignments to clusters; the student sees a part of the patches only and
    predicts the assignments of some hidden ones. Two losses are minimised: that
    of the prediction, which trains the student, and that of the clustering,
    which trains the clustering alone.

    Train it with `compile` and `fit`. Afterwards `predict` and `teacher` give
    features.

    Args:
        backbone: `keras_capi.models.CAPIBackbone`, the student to train.
        num_clusters: Integer. Number of clusters and prototypes. With
            `clustering` it may be left out. Defaults to `16384`.
        masking: Masking layer, such as
            `keras_capi.layers.InverseBlockMasking`, or `None` for the default
            one. Defaults to `None`.
        clustering: `keras_capi.layers.OnlineClustering` or `None` for the
            default one with `num_clusters`. Defaults to `None`.
        student_temperature: Float. Divides the student's logits. Defaults to
            `0.12`.
        ema_momentum: Float in [0, 1], or a schedule such as
            `keras_capi.optimizers.WarmupCosine`, of which the teacher takes one
            step with each update of the optimizer. Rule of thumb: 1 minus the
            learning rate. Defaults to `0.999`.
        seed: Integer or `None`. Seed of the default masking. Stochastic depth
            has the backbone's. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with own masks: `{"images": ..., "visible_indices": (batch,
        visible), "predict_indices": (batch, predictions)}`, row-major patches.
        Labels, if any, are ignored.

    Outputs:
        A dictionary of scalars: `"capi_loss"`, `"clustering_loss"` and
        `"target_entropy"`, in nats. Training also logs their sum as `"loss"`,
        the learning rates and the momentum.

    Raises:
        ValueError: If arguments or inputs are out of range, or do not suit each
            other.
        RuntimeError: If a loss is not finite.

    Example:

    >>> backbone = keras_capi.models.CAPIBackbone(
    ...     patch_size=8, num_layers=2, predictor_num_layers=1, hidden_dim=48,
    ...     num_heads=4,
    ... )
    >>> model = keras_capi.models.CAPI(backbone, num_clusters=16)
    >>> model.compile(keras_capi.optimizers.capi_optimizer(1e-3))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3
    """

    loss_names = ("capi_loss", "clustering_loss")
    log_names = ("target_entropy",)

    def __init__(
        self,
        backbone,
        num_clusters=DEFAULT_NUM_CLUSTERS,
        masking=None,
        clustering=None,
        student_temperature=0.12,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        super().__init__(backbone, masking, ema_momentum, seed, **kwargs)
        check_positive("student_temperature", student_temperature)
        check_positive_integer("num_clusters", num_clusters)
        if clustering is None:
            clustering = OnlineClustering(
                num_clusters, dtype=self.dtype_policy, name="clustering"
            )
        elif num_clusters not in (
            DEFAULT_NUM_CLUSTERS,
            clustering.num_clusters,
        ):
            raise ValueError(
                "`num_clusters` must be that of `clustering`, or be left out. "
                f"Received: num_clusters={num_clusters}, "
                f"clustering.num_clusters={clustering.num_clusters}"
            )
        self.student_temperature = student_temperature
        self.clustering = clustering
        self.prototype_head = self._make_head("prototype_head")
        self.teacher_prototype_head = self._make_head("teacher_prototype_head")
        self.teacher_prototype_head.trainable = False
        self.build()

    def _make_head(self, name):
        return PrototypeHead(
            self.clustering.num_clusters, dtype=self.dtype_policy, name=name
        )

    def build(self, input_shape=None):
        if not self.clustering.built:
            embedding = self.student.encoder.patch_embedding
            images_shape = (None, *self.student.image_shape)
            self.clustering.build(embedding.compute_output_shape(images_shape))
        shape = (None, None, self.student.predictor.hidden_dim)
        self.prototype_head.build(shape)
        self.teacher_prototype_head.build(shape)
        copy_weights(self.prototype_head, self.teacher_prototype_head)

    def averaged_pairs(self):
        return [
            *super().averaged_pairs(),
            (self.prototype_head, self.teacher_prototype_head),
        ]

    def compute_losses(
        self, images, visible_indices, predict_indices, training
    ):
        patches = self.teacher.encode_patches(images, training=False)
        targets, clustering_loss = self.clustering(
            ops.stop_gradient(patches), predict_indices, training=training
        )
        predictions = self.student.predict_masked(
            images, visible_indices, predict_indices, training=training
        )
        logits = self.prototype_head(predictions)
        return {
            "capi_loss": soft_cross_entropy(
                targets, logits, self.student_temperature
            ),
            "clustering_loss": clustering_loss,
            "target_entropy": entropy(targets),
        }

    def compute_output_spec(self, inputs, training=None):
        names = (*self.loss_names, *self.log_names)
        return {name: keras.KerasTensor((), "float32") for name in names}

    @staticmethod
    def get_layout_map(device_mesh, model_axis="model"):
        """Says how to split the weights over devices, on JAX.

        For `keras.distribution.ModelParallel`, to be entered before the model
        is made. Heads, hidden units of the perceptrons, clusters and prototypes
        are split over one axis of the mesh; a split weight's moments in the
        optimizer and its moving average are split alike.

        Args:
            device_mesh: `keras.distribution.DeviceMesh`.
            model_axis: String. The axis of the mesh to split the weights over.
                Defaults to `"model"`.

        Returns:
            `keras.distribution.LayoutMap`.

        Example:

        >>> mesh = keras.distribution.DeviceMesh(
        ...     (1, len(keras.distribution.list_devices())), ("batch", "model")
        ... )
        >>> layout_map = keras_capi.models.CAPI.get_layout_map(mesh)
        """
        layout_map = keras.distribution.LayoutMap(device_mesh)
        for name in ("query_key_value", "query", "key_value", "mlp_hidden"):
            layout_map[f".*/{name}/kernel"] = (None, model_axis)
        for name in ("output_projection", "mlp_output"):
            layout_map[f".*/{name}/kernel"] = (model_axis, None)
        for name in ("cluster_kernel", "direction"):
            layout_map[f".*/{name}"] = (None, model_axis)
        for name in ("cluster_bias", "gain"):
            layout_map[f".*/{name}"] = (model_axis,)
        return layout_map

    def get_config(self):
        return {
            **super().get_config(),
            "num_clusters": self.clustering.num_clusters,
            "clustering": keras.saving.serialize_keras_object(self.clustering),
            "student_temperature": self.student_temperature,
        }
