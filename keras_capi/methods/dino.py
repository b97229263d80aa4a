import keras

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.heads.dino_head import DINOHead
from keras_capi.layers.targets.centering import Centering
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.methods.inputs.view_inputs import check_views
from keras_capi.methods.inputs.view_inputs import encode_all_views
from keras_capi.methods.inputs.view_inputs import encode_views
from keras_capi.methods.inputs.view_inputs import prepare_views
from keras_capi.methods.inputs.view_inputs import several_sizes
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.methods.shared.distillation import distillation_groups
from keras_capi.methods.shared.distillation import distillation_optimizer
from keras_capi.methods.shared.distillation import rising_momentum
from keras_capi.methods.shared.distillation import start_of
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.ops.losses.view_cross_entropy import view_cross_entropy
from keras_capi.optimizers.adamw import AdamW
from keras_capi.training.built_part import built_part
from keras_capi.training.check_part import check_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.moving_average import MovingAverage
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_number
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class DINO(Pretraining):
    """Pretrains an encoder by self-distillation between views of an image.

    The student sees two large and several small crops of each image; the
    teacher, its moving average, sees only the large ones. A head scores the
    features of each crop against many prototypes, and the student's scores for
    one crop have to predict the teacher's for another. The teacher's scores are
    centered and sharpened; otherwise all crops would end up with the same ones.
    The features work well without fine-tuning, for nearest neighbours and
    linear classifiers. As crops are compared, each image should show a single
    subject.

    Args:
        encoder: `keras_capi.encoders.Encoder`. The student, preferably a `ViT`
            with `interpolation_offset=0.1` and `drop_path_rate=0.1`.
        num_prototypes: Integer. Number of prototypes. Defaults to `65536`.
        views: Layer that turns images into `"global_views"` and
            `"local_views"`, or `None` for `keras_capi.layers.MultiCrop` with
            the encoder's image size and eight local views of three sevenths of
            it. Defaults to `None`.
        head: `keras_capi.layers.DINOHead`, or `None` for the published one with
            `num_prototypes`. Defaults to `None`.
        student_temperature: Float. Divides the student's scores. Defaults to
            `0.1`.
        teacher_temperature: Float, or a schedule such as
            `keras_capi.optimizers.EpochWarmup`. Divides the teacher's scores:
            the lower, the sharper. Defaults to `0.04`.
        center_momentum: Float in `[0, 1]`, see `keras_capi.layers.Centering`.
            Defaults to `0.9`.
        ema_momentum: Float in `[0, 1]`, a schedule, or `None` for the published
            cosine from 0.996 to 1 over the steps of the optimizer's schedule.
            Defaults to `None`.
        seed: Integer or `None`. Seed of the default views. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably larger than the views; or a dictionary with your own views,
        `{"global_views": (batch, 2, height, width, channels), "local_views":
        (batch, count, ...)}`, the latter of a different size, or left out.

    Output shape:
        Dictionary of the teacher's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> model = keras_capi.methods.DINO(encoder, num_prototypes=256)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 48, 48, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294)
    """

    loss_weights = {"dino_loss": 1.0}
    instead_of_images = ("global_views",)
    # Names of inputs beside views.
    other_inputs: tuple[str, ...] = ()
    # Epochs of the published training: the rate warms up over ten of them, and
    # the prototypes are frozen during the first.
    published_epochs = 100
    # The teacher's momentum in the first update.
    base_momentum = 0.996

    def __init__(
        self,
        encoder,
        num_prototypes=65536,
        views=None,
        head=None,
        student_temperature=0.1,
        teacher_temperature=0.04,
        center_momentum=0.9,
        ema_momentum=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_positive("student_temperature", student_temperature)
        if not callable(teacher_temperature):
            check_positive("teacher_temperature", teacher_temperature)
        check_number("center_momentum", center_momentum, "[0, 1]")
        check_part("head", head, DINOHead)
        check_seed("seed", seed)
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.center_momentum = center_momentum
        self.ema_momentum = ema_momentum
        self.seed = seed
        self.student = encoder
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            self.views = several_sizes(views, encoder, self.make_views, seed)
            self.moving_average = MovingAverage(
                self.base_momentum if ema_momentum is None else ema_momentum
            )
            check_positive_integer("num_prototypes", num_prototypes)
            self.head = head or self.make_head(num_prototypes)
            built_part("head", self.head, (None, encoder.global_dim))
            self.centering = self.make_centering(
                self.head.prototypes, teacher_temperature, "centering"
            )
            self.teacher = self.moving_average.follow(encoder, name="teacher")
            self.teacher_head = self.moving_average.follow(
                self.head, name="teacher_head"
            )
        self.built = True

    @property
    def encoder(self):
        """The teacher, whose features `predict` gives."""
        return self.teacher

    @property
    def num_prototypes(self):
        """The number of prototypes that a target is distributed over."""
        return self.head.prototypes.num_prototypes

    def make_views(self, encoder, seed):
        """Returns the published views, in sizes that fit an encoder."""
        return MultiCrop(*view_sizes(encoder), seed=seed)

    def make_head(self, num_prototypes):
        """Returns the published head."""
        return DINOHead(num_prototypes, dtype=self.dtype_policy, name="head")

    def make_centering(self, prototypes, temperature, name):
        """Returns a built layer that turns a teacher's scores into targets.

        Args:
            prototypes: `keras_capi.layers.PrototypeHead`, which computes the
                scores.
            temperature: Float, or a schedule whose values will be assigned.
            name: String.
        """
        centering = Centering(
            start_of(temperature), self.center_momentum, name=name
        )
        centering.build((None, prototypes.num_prototypes))
        return centering

    def list_prototypes(self):
        """Returns the prototype layers that are trained."""
        return [self.head.prototypes]

    def choose_prototypes(self, features):
        """Assigns images to the prototypes, softly, as the teacher does.

        Args:
            features: Float tensor of shape `(batch, global_dim)`: the global
                features that `predict` returns.

        Returns:
            Float32 tensor of shape `(batch, num_prototypes)`, which sums to 1
            over the prototypes.
        """
        return self.centering.choose(self.teacher_head(features))

    def check_inputs(self, inputs):
        check_views(inputs, self.student, self.other_inputs)

    def prepare(self, inputs, training):
        self.check_inputs(inputs)
        return prepare_views(inputs, self.student, self.views)

    def compute_losses(self, inputs, training):
        global_views = inputs["global_views"]
        scores = self.teacher_head(encode_views(self.teacher, global_views))
        targets = self.centering(scores, training=training)
        features = encode_all_views(self.student, inputs, training)
        logits = self.head(features)
        return {
            "dino_loss": view_cross_entropy(
                targets, logits, self.student_temperature
            ),
            "target_entropy": entropy(targets),
        }

    def before_update(self, step):
        if callable(self.teacher_temperature):
            self.centering.assign_temperature(self.teacher_temperature(step))

    def after_update(self, step, applied):
        return self.moving_average.move(step, applied)

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=None,
        weight_decay=None,
        clip_norm=3.0,
        clip_scope="tensor",
        frozen_steps=None,
        **overrides,
    ):
        """Returns the published optimizer and its schedules.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over ten of the published 100 epochs (800 for
                iBOT).
            batch_size: Integer. Images per batch, over all devices. The
                learning rate is `5e-4 * batch_size / 256`.
            learning_rate: Float, 1e-6 or more, or schedule, to replace that
                rate. Defaults to `None`.
            weight_decay: Float, schedule, or `None` for a cosine from 0.04 to
                0.4. Defaults to `None`.
            clip_norm: Float or `None`. Defaults to `3.0`.
            clip_scope: String or sequence of strings. What is clipped together.
                Defaults to `"tensor"`, each gradient by itself.
            frozen_steps: Integer or `None`. Number of updates at the start
                during which the prototypes are frozen; `None` is the first of
                the published epochs. Defaults to `None`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        return distillation_optimizer(
            total_steps,
            batch_size,
            learning_rate,
            weight_decay,
            frozen_steps,
            self.published_epochs,
            clip_norm=clip_norm,
            clip_scope=clip_scope,
            **overrides,
        )

    def parameter_groups(self):
        return distillation_groups(
            self.trainable_variables, self.list_prototypes()
        )

    def list_unused_parts(self):
        return self.student.list_unused_parts(uses_global=True)

    def compile(self, optimizer="rmsprop", **kwargs):
        super().compile(optimizer, **kwargs)
        if self.ema_momentum is None:
            self.moving_average.momentum = rising_momentum(
                self.base_momentum, self.optimizer
            )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.student),
            "num_prototypes": self.num_prototypes,
            "views": serialize(self.views),
            "head": serialize(self.head),
            "student_temperature": self.student_temperature,
            "teacher_temperature": serialize(self.teacher_temperature),
            "center_momentum": self.center_momentum,
            "ema_momentum": serialize(self.ema_momentum),
            "seed": self.seed,
        }
