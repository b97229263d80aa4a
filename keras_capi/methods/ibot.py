import keras

from keras_capi.fitting.schedule_settings import schedule_settings
from keras_capi.layers.masking.blockwise_masking import BlockwiseMasking
from keras_capi.layers.related_seed import related_seed
from keras_capi.layers.tokens.mask_token import MaskToken
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.methods.dino import DINO
from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.inputs.view_inputs import add_smaller_views
from keras_capi.methods.inputs.view_inputs import check_view_masks
from keras_capi.methods.inputs.view_inputs import encode_view_patches
from keras_capi.methods.inputs.view_inputs import mask_views
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.methods.shared.distillation import FIRST_TEMPERATURE
from keras_capi.methods.shared.distillation import check_own_prototypes
from keras_capi.methods.shared.distillation import more_prototypes
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.ops.losses.patch_cross_entropy import patch_cross_entropy
from keras_capi.ops.losses.view_cross_entropy import view_cross_entropy
from keras_capi.optimizers.epoch_warmup import EpochWarmup
from keras_capi.training.moving_average import copy_weights
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_positive

# The teacher's final temperature, and the epochs until it is reached.
LAST_TEMPERATURE, WARMUP_EPOCHS = 0.07, 30
# Half of the views have no mask; of the others a tenth to a half is hidden.
MASK_RATIOS = ((0.0, 0.0), (0.1, 0.5))


@keras.saving.register_keras_serializable(package="keras_capi")
class IBOT(DINO):
    """Pretrains an encoder by self-distillation of views and hidden patches.

    DINO's comparison of crops, plus masked image modelling with the teacher as
    the tokenizer: in the student's large crops, blocks of patches are replaced
    by a mask token, and the student's scores there have to predict those of the
    teacher, which sees the whole crop. One head scores images and patches
    alike. Patch features become as good as image features: prefer iBOT to DINO
    for segmentation. DINO costs a little less.

    Args:
        encoder: `keras_capi.encoders.Encoder`. The student, preferably a `ViT`
            with `interpolation_offset=0.1` and `drop_path_rate=0.1`.
        num_prototypes: Integer. Number of prototypes. Defaults to `8192`.
        num_patch_prototypes: Integer, the number of separate prototypes for
            patches, or `None` to share those of images. Defaults to `None`.
        teacher_shares_prototypes: Boolean. Whether the teacher scores images
            and patches with one set of prototypes even if the student does not,
            as in the authors' command line. Defaults to `True`.
        views: Layer that turns images into `"global_views"` and
            `"local_views"`, or `None` for `keras_capi.layers.MultiCrop` with
            the encoder's image size and ten local views of three sevenths of
            it. Defaults to `None`.
        masking: Layer that turns global views into `"mask"`, or `None` for
            `keras_capi.layers.BlockwiseMasking`, which leaves half of the views
            intact and hides a tenth to a half of each of the others. Defaults
            to `None`.
        head: `keras_capi.layers.DINOHead`, or `None` for the published one with
            `num_prototypes`. Defaults to `None`.
        student_temperature: Float. Divides the student's scores. Defaults to
            `0.1`.
        teacher_temperature: Float, a schedule such as
            `keras_capi.optimizers.EpochWarmup`, or `None` for the published
            rise from 0.04 to 0.07, in step with the optimizer's schedule.
            Divides the teacher's scores of images. Defaults to `None`.
        patch_temperature: The same for the teacher's scores of patches.
            Defaults to `None`.
        class_weight: Float. Weight of the loss of images. Defaults to `1.0`.
        patch_weight: Float. Weight of the loss of patches. Defaults to `1.0`.
        center_momentum: Float in `[0, 1]`, see `keras_capi.layers.Centering`.
            Defaults to `0.9`.
        ema_momentum: Float in `[0, 1]`, a schedule, or `None` for the published
            cosine from 0.996 to 1 over the steps of the optimizer's schedule.
            Defaults to `None`.
        seed: Integer or `None`. Seed of the default views and masking. Defaults
            to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably larger than the views; or a dictionary with your own views
        and optionally masks, `{"global_views": (batch, 2, height, width,
        channels), "local_views": (batch, count, ...), "mask": (batch, 2,
        patches)}`, the local views of a different size, or left out; the mask
        is Boolean, true where hidden.

    Output shape:
        Dictionary of the teacher's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> model = keras_capi.methods.IBOT(encoder, num_prototypes=256)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 48, 48, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [iBOT](https://arxiv.org/abs/2111.07832)
    """

    other_inputs = ("mask",)
    published_epochs = 800

    def __init__(
        self,
        encoder,
        num_prototypes=8192,
        num_patch_prototypes=None,
        teacher_shares_prototypes=True,
        views=None,
        masking=None,
        head=None,
        student_temperature=0.1,
        teacher_temperature=None,
        patch_temperature=None,
        class_weight=1.0,
        patch_weight=1.0,
        center_momentum=0.9,
        ema_momentum=None,
        seed=None,
        **kwargs,
    ):
        temperatures = {
            "teacher_temperature": teacher_temperature,
            "patch_temperature": patch_temperature,
        }
        # They follow the optimizer's schedule instead.
        unset = tuple(k for k, v in temperatures.items() if v is None)
        temperatures.update(dict.fromkeys(unset, FIRST_TEMPERATURE))
        temperature = temperatures["patch_temperature"]
        if not callable(temperature):
            check_positive("patch_temperature", temperature)
        check_own_prototypes(num_patch_prototypes)
        check_non_negative("class_weight", class_weight)
        check_non_negative("patch_weight", patch_weight)
        # Checked before a head is made, which is large.
        MASK.try_layer(masking, encoder)
        super().__init__(
            encoder,
            num_prototypes,
            views,
            head,
            student_temperature,
            temperatures["teacher_temperature"],
            center_momentum,
            ema_momentum,
            seed,
            **kwargs,
        )
        if encoder.global_dim != encoder.hidden_dim:
            raise ValueError(
                "`encoder` must have global features as wide as those of its "
                "patches, since one head takes both. Received: "
                f"encoder.global_dim={encoder.global_dim}, "
                f"encoder.hidden_dim={encoder.hidden_dim}"
            )
        self.loss_weights = {
            "class_loss": class_weight,
            "patch_loss": patch_weight,
        }
        self.teacher_shares_prototypes = teacher_shares_prototypes
        self.patch_temperature = temperatures["patch_temperature"]
        self.unset_temperatures = unset
        with keras.RematScope(mode=None):
            self.masking = masking or BlockwiseMasking(
                mask_ratio=MASK_RATIOS, seed=related_seed(seed, 1)
            )
            self.mask_token = MaskToken(
                "zeros", dtype=self.dtype_policy, name="mask_token"
            )
            self.mask_token.build((None, None, encoder.hidden_dim))
            self.patch_prototypes = self.teacher_patch_prototypes = None
            if num_patch_prototypes is not None:
                self.patch_prototypes = more_prototypes(
                    self.head, num_patch_prototypes, teacher_shares_prototypes
                )
            if self.patch_prototypes and not teacher_shares_prototypes:
                self.teacher_patch_prototypes = self.moving_average.follow(
                    self.patch_prototypes, name="teacher_patch_prototypes"
                )
            self.start_teacher()
            self.patch_centering = self.make_centering(
                self.list_prototypes()[-1],
                self.patch_temperature,
                "patch_centering",
            )

    def start_teacher(self):
        """Copies the student's weights to the teacher, as at the start."""
        for part, average in self.moving_average.pairs:
            copy_weights(part, average)
        if self.patch_prototypes and self.teacher_shares_prototypes:
            # The prototypes of patches win, as in the authors' code.
            copy_weights(self.patch_prototypes, self.teacher_head.prototypes)

    def make_views(self, encoder, seed):
        return MultiCrop(
            *view_sizes(encoder),
            num_local_views=10,
            global_scale=(0.25, 1.0),
            local_scale=(0.05, 0.25),
            seed=seed,
        )

    def list_prototypes(self):
        own = [self.patch_prototypes] if self.patch_prototypes else []
        return [*super().list_prototypes(), *own]

    def check_inputs(self, inputs):
        super().check_inputs(inputs)
        check_view_masks(inputs, self.student)

    def prepare(self, inputs, training):
        inputs = super().prepare(inputs, training)
        if "mask" in inputs:
            return inputs
        views = inputs["global_views"]
        return {**inputs, "mask": mask_views(self.student, self.masking, views)}

    def compute_losses(self, inputs, training):
        views, mask = inputs["global_views"], inputs["mask"]
        features, patches = encode_view_patches(self.teacher, views)
        targets = self.centering(self.teacher_head(features), training=training)
        patch_targets = self.patch_centering(
            self.score_patches(patches, of_teacher=True), training=training
        )
        features, patches = encode_view_patches(
            self.student, views, training, mask, self.mask_token
        )
        features = add_smaller_views(features, self.student, inputs, training)
        return {
            "class_loss": view_cross_entropy(
                targets, self.head(features), self.student_temperature
            ),
            "patch_loss": patch_cross_entropy(
                patch_targets,
                self.score_patches(patches),
                mask,
                self.student_temperature,
            ),
            "target_entropy": entropy(targets),
            "patch_target_entropy": entropy(patch_targets),
        }

    def score_patches(self, patches, of_teacher=False):
        """Scores patches against the prototypes.

        Args:
            patches: Float tensor of shape `(..., hidden_dim)`.
            of_teacher: Boolean. Whether to use the teacher's head.

        Returns:
            Float32 tensor of shape `(..., num_patch_prototypes)`.
        """
        head, own = self.head, self.patch_prototypes
        if of_teacher:
            head, own = self.teacher_head, self.teacher_patch_prototypes
        return head(patches) if own is None else own(head.project(patches))

    def before_update(self, step):
        super().before_update(step)
        if callable(self.patch_temperature):
            self.patch_centering.assign_temperature(
                self.patch_temperature(step)
            )

    def compile(self, optimizer="rmsprop", **kwargs):
        super().compile(optimizer, **kwargs)
        total_steps = schedule_settings(self.optimizer).get("total_steps")
        warmup = FIRST_TEMPERATURE
        if total_steps is not None:
            warmup = EpochWarmup(
                FIRST_TEMPERATURE,
                LAST_TEMPERATURE,
                WARMUP_EPOCHS,
                max(total_steps // self.published_epochs, 1),
            )
        for name in self.unset_temperatures:
            setattr(self, name, warmup)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        own = self.patch_prototypes
        return {
            **super().get_config(),
            "num_patch_prototypes": own and own.num_prototypes,
            "teacher_shares_prototypes": self.teacher_shares_prototypes,
            "masking": serialize(self.masking),
            "patch_temperature": serialize(self.patch_temperature),
            "class_weight": self.loss_weights["class_loss"],
            "patch_weight": self.loss_weights["patch_loss"],
            **dict.fromkeys(self.unset_temperatures),
        }
