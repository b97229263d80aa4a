import keras
from keras import ops

from keras_capi.encoders.capi_backbone import CAPIBackbone
from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.masking.inverse_block_masking import InverseBlockMasking
from keras_capi.layers.related_seed import related_seed
from keras_capi.layers.targets.online_clustering import OnlineClustering
from keras_capi.methods.inputs.mask_form import INDICES
from keras_capi.methods.inputs.masked_inputs import check_masked_inputs
from keras_capi.methods.inputs.masked_inputs import prepare_masks
from keras_capi.methods.shared.capi_heads import apply_heads
from keras_capi.methods.shared.capi_heads import check_num_clusters
from keras_capi.methods.shared.capi_heads import check_targets
from keras_capi.methods.shared.capi_heads import make_head
from keras_capi.methods.shared.capi_weights import capi_groups
from keras_capi.methods.shared.capi_weights import capi_layout_map
from keras_capi.methods.shared.target_layers import check_target_layers
from keras_capi.optimizers.capi_optimizer import capi_optimizer
from keras_capi.optimizers.checks import check_training_size
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.moving_average import MovingAverage
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed

DEFAULT_NUM_CLUSTERS = 16384


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPI(Pretraining):
    """Pretrains a backbone by predicting clusters of hidden patches.

    In each step the teacher, a moving average of the student, encodes whole
    images, and an online clustering turns its patch features into balanced soft
    assignments to clusters. The student sees only some of the patches and
    predicts the assignments of hidden ones. Two losses are minimised: the
    prediction loss trains the student, the clustering loss trains only the
    clustering.

    Train it with `compile` and `fit`. Then get features from `predict`, or use
    the `teacher`.

    Args:
        backbone: `keras_capi.models.CAPIBackbone`. The student to train.
        num_clusters: Integer. Number of clusters and prototypes. It may be left
            out if `clustering` is given. Defaults to `16384`.
        masking: Masking layer, or `None` for
            `keras_capi.layers.InverseBlockMasking`. Defaults to `None`.
        clustering: `keras_capi.layers.OnlineClustering` or `None` for the
            default one with `num_clusters`. The paper's ablations replace it by
            `keras_capi.layers.DistilledTargets` (iBOT) or `LatentTargets`
            (I-JEPA). Defaults to `None`.
        student_temperature: Float. Divides the student's logits. Defaults to
            `0.12`.
        ema_momentum: Float in `[0, 1]`, or a schedule such as
            `keras_capi.optimizers.WarmupCosine`, which advances with each
            update of the optimizer. Momentum of the teacher. Rule of thumb: 1
            minus the learning rate. Defaults to `0.999`.
        seed: Integer or `None`. Seed of the default masking. Stochastic depth
            uses the backbone's seed. Defaults to `None`.
        projection: Layer between predictions and the student's head, such as
            `keras_capi.layers.ProjectionHead` for the paper's ablation with an
            MLP head, or `None`. Defaults to `None`.
        target_layers: Sequence of integers from 1 to the encoder's
            `num_layers`: the teacher's blocks whose features are averaged
            before clustering, as in data2vec. `None` is the last one. Defaults
            to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with your own masks, `{"images": ..., "visible_indices":
        (batch, visible), "predict_indices": (batch, predictions)}`, row-major
        patches. Labels of a data set are ignored.

    Output shape:
        Dictionary of the teacher's features, see
        `keras_capi.encoders.CAPIBackbone`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.
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

    def __init__(
        self,
        backbone,
        num_clusters=DEFAULT_NUM_CLUSTERS,
        masking=None,
        clustering=None,
        student_temperature=0.12,
        ema_momentum=0.999,
        seed=None,
        projection=None,
        target_layers=None,
        **kwargs,
    ):
        if not isinstance(backbone, CAPIBackbone):
            raise ValueError(
                "`backbone` must be a `CAPIBackbone`, whose predictor CAPI "
                f"trains. Received: {type(backbone).__name__}"
            )
        super().__init__(backbone, **kwargs)
        check_seed("seed", seed)
        check_positive("student_temperature", student_temperature)
        check_positive_integer("num_clusters", num_clusters)
        check_targets(clustering)
        self.target_layers = check_target_layers(
            target_layers, backbone.num_layers, default=1
        )
        if self.trainable:
            parts = (backbone.encoder, backbone.predictor)
            check_trainable("backbone", backbone, parts)
        if clustering is None:
            clustering = OnlineClustering(
                num_clusters, dtype=self.dtype_policy, name="clustering"
            )
        elif num_clusters != DEFAULT_NUM_CLUSTERS:
            check_num_clusters(num_clusters, clustering)
        self.loss_weights = {"capi_loss": 1.0, **clustering.loss_weights}
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            self.masking = masking or InverseBlockMasking(
                seed=related_seed(seed, 2)
            )
            INDICES.try_layer(masking, backbone)
            self.seed = seed
            self.student_temperature = student_temperature
            self.student = backbone
            self.targets = clustering
            if isinstance(clustering, OnlineClustering):
                # Reports and callbacks look for a clustering by this name.
                self.clustering = clustering
            self.projection = projection
            self.prototype_head = make_head(
                backbone, clustering, projection, self.dtype_policy
            )
            if not clustering.built:
                clustering.build(
                    backbone.encoder.patch_embedding.compute_output_shape(
                        (None, *backbone.image_shape)
                    )
                )
            self.moving_average = MovingAverage(ema_momentum)
            self.teacher = self.moving_average.follow(backbone, name="teacher")
            self.teacher_prototype_head = self.moving_average.follow(
                self.prototype_head, name="teacher_prototype_head"
            )
            self.teacher_projection = None
            if projection is not None:
                self.teacher_projection = self.moving_average.follow(
                    projection, name="teacher_projection"
                )
        self.built = True

    @property
    def encoder(self):
        """The teacher, whose features `predict` gives."""
        return self.teacher

    @property
    def ema_momentum(self):
        """The momentum of the teacher, a float or a schedule."""
        return self.moving_average.momentum

    def check_inputs(self, inputs):
        check_masked_inputs(self.student, inputs)

    def prepare(self, inputs, training):
        return prepare_masks(self.student, self.masking, inputs)

    def compute_losses(self, inputs, training):
        patches = self.encode_targets(inputs["images"])
        targets, others = self.targets.make_targets(
            ops.stop_gradient(patches),
            inputs["predict_indices"],
            self.score_as_teacher,
            training=training,
        )
        predictions = self.student.predict_masked(**inputs, training=training)
        outputs = apply_heads(self.projection, self.prototype_head, predictions)
        loss = self.targets.compare(targets, outputs, self.student_temperature)
        return {"capi_loss": loss, **others}

    def encode_targets(self, images):
        """Returns the teacher's features of all patches, as they are clustered.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Tensor of shape `(batch, rows * columns, hidden_dim)`.
        """
        return self.teacher.encode_patches(
            images, training=False, layers=self.target_layers
        )

    def score_as_teacher(self, patches):
        """Scores features with the moving average of the student's heads.

        Args:
            patches: Float tensor of shape `(..., hidden_dim)`.

        Returns:
            Tensor of shape `(..., num_clusters)`.
        """
        return apply_heads(
            self.teacher_projection, self.teacher_prototype_head, patches
        )

    def after_update(self, step, applied):
        return self.moving_average.move(step, applied)

    @passes_on_to(capi_optimizer)
    def published_optimizer(self, total_steps, batch_size, **overrides):
        """Returns the published optimizer.

        Args:
            total_steps: Integer. Updates of the whole training.
            batch_size: Integer. Images per batch. The learning rates were
                published for 16,384, without a rule for other sizes, so they do
                not depend on this.
            **overrides: Other arguments of
                `keras_capi.optimizers.capi_optimizer`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        return capi_optimizer(total_steps=total_steps, **overrides)

    def parameter_groups(self):
        return capi_groups(
            self.student, self.projection, self.prototype_head, self.targets
        )

    def compile(self, optimizer="rmsprop", **kwargs):
        multiplier = getattr(optimizer, "rotary_learning_rate_multiplier", None)
        if multiplier is not None:
            self.student.set_rotary_trainable(multiplier > 0)
        super().compile(optimizer, **kwargs)

    @staticmethod
    def get_layout_map(device_mesh, model_axis="model"):
        """Returns how to split the weights over devices, on JAX.

        Use it with `keras.distribution.ModelParallel`, before you make the
        model. Attention heads, hidden units of the MLPs, clusters and
        prototypes are split over one axis of the mesh. The moving average of a
        split weight, and its moments in the optimizer, are split in the same
        way.

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
        return capi_layout_map(device_mesh, model_axis)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "backbone": serialize(self.student),
            "masking": serialize(self.masking),
            "clustering": serialize(self.targets),
            "num_clusters": self.targets.num_clusters or DEFAULT_NUM_CLUSTERS,
            "student_temperature": self.student_temperature,
            "ema_momentum": serialize(self.ema_momentum),
            "seed": self.seed,
            "projection": serialize(self.projection),
            "target_layers": self.target_layers,
        }
