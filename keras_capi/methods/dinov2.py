import keras
from keras import ops

from keras_capi.fitting.schedule_settings import schedule_settings
from keras_capi.layers.heads.dino_head import DINOHead
from keras_capi.layers.masking.stratified_masking import StratifiedMasking
from keras_capi.layers.related_seed import related_seed
from keras_capi.layers.targets.sinkhorn_centering import SinkhornCentering
from keras_capi.layers.tokens.mask_token import MaskToken
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.methods.dino import DINO
from keras_capi.methods.inputs.hidden_patches import find_hidden
from keras_capi.methods.inputs.hidden_patches import hidden_weights
from keras_capi.methods.inputs.hidden_patches import take_patches
from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.inputs.view_inputs import add_smaller_views
from keras_capi.methods.inputs.view_inputs import check_view_masks
from keras_capi.methods.inputs.view_inputs import encode_view_patches
from keras_capi.methods.inputs.view_inputs import list_views
from keras_capi.methods.inputs.view_inputs import mask_views
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.methods.shared.distillation import FIRST_TEMPERATURE
from keras_capi.methods.shared.distillation import another_head
from keras_capi.methods.shared.distillation import check_own_prototypes
from keras_capi.methods.shared.distillation import start_of
from keras_capi.methods.shared.network_optimizer import NetworkOptimizerMixin
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.ops.losses.koleo import koleo
from keras_capi.ops.losses.view_cross_entropy import view_cross_entropy
from keras_capi.ops.losses.weighted_cross_entropy import weighted_cross_entropy
from keras_capi.optimizers.epoch_warmup import EpochWarmup
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_choice
from keras_capi.validation import check_non_negative

CENTERINGS = ("sinkhorn", "softmax")
# The teacher's final temperature, and the epochs until it is reached.
LAST_TEMPERATURE, WARMUP_EPOCHS = 0.07, 30


@keras.saving.register_keras_serializable(package="keras_capi")
class DINOv2(NetworkOptimizerMixin, DINO):
    """Pretrains an encoder by DINO's and iBOT's losses together, at scale.

    As in iBOT, crops of an image predict the teacher's scores of other crops,
    and hidden patches its scores of themselves, but with a head for each. The
    teacher's scores are balanced over the batch, and features of images spread
    apart. It takes much memory and large batches, and suits images and patches.

    Args:
        encoder: `keras_capi.encoders.Encoder`. The student, preferably a `ViT`
            with `interpolation_offset=0.1` and `layer_scale=1e-5`.
        num_prototypes: Integer. Number of prototypes. Defaults to `65536`.
        num_patch_prototypes: Integer. Number of prototypes of the head for
            patches; `None` shares that of images. Defaults to `65536`.
        centering: How scores become targets: `"sinkhorn"`, as published, for
            `keras_capi.layers.SinkhornCentering`, or `"softmax"` for
            `keras_capi.layers.Centering`. Defaults to `"sinkhorn"`.
        views: Layer that makes `"global_views"` and `"local_views"`, or `None`
            for `keras_capi.layers.MultiCrop` as in `DINO`. Defaults to `None`.
        masking: Layer that turns global views into `"mask"`, or `None` for
            `keras_capi.layers.StratifiedMasking`. A `count_hidden_in_batch`
            method saves scoring the visible patches. Defaults to `None`.
        head: `keras_capi.layers.DINOHead`, or `None` for the published one with
            `num_prototypes`. The one for patches is alike. Defaults to `None`.
        student_temperature: Float. Divides student scores. Defaults to `0.1`.
        teacher_temperature: Float, a schedule, or `None` for the published rise
            from 0.04 to 0.07, in step with the optimizer's schedule. Divides
            the teacher's scores. Defaults to `None`.
        class_weight: Float. Weight of the loss of images. Defaults to `1.0`.
        patch_weight: Float. Weight of the loss of patches. Defaults to `1.0`.
        koleo_weight: Float. Weight of `keras_capi.ops.koleo`, which spreads
            features, summed over the global views. Defaults to `0.1`.
        center_momentum: Float in `[0, 1]`, for `"softmax"`. Defaults to `0.9`.
        ema_momentum: Float in `[0, 1]`, a schedule, or `None` for the published
            cosine from 0.992 to 1 over the steps of the optimizer's schedule.
            Defaults to `None`.
        seed: Integer or `None`. Seed of the default views and masking. Defaults
            to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably larger than the views; or a dictionary with your own views
        and optionally masks, `{"global_views": (batch, 2, height, width,
        channels), "local_views": (batch, count, ...), "mask": (batch, 2,
        patches)}`, the local views of a different size, or left out; the mask
        Boolean, true where hidden.

    Output shape:
        Dictionary of the teacher's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> model = keras_capi.methods.DINOv2(encoder, 256, 256)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 48, 48, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [DINOv2](https://arxiv.org/abs/2304.07193)
    """

    other_inputs = ("mask",)
    base_momentum = 0.992

    def __init__(
        self,
        encoder,
        num_prototypes=65536,
        num_patch_prototypes=65536,
        centering="sinkhorn",
        views=None,
        masking=None,
        head=None,
        student_temperature=0.1,
        teacher_temperature=None,
        class_weight=1.0,
        patch_weight=1.0,
        koleo_weight=0.1,
        center_momentum=0.9,
        ema_momentum=None,
        seed=None,
        **kwargs,
    ):
        check_choice("centering", centering, CENTERINGS)
        self.centering_kind = centering
        self.has_own_temperature = teacher_temperature is not None
        if teacher_temperature is None:
            teacher_temperature = FIRST_TEMPERATURE
        check_own_prototypes(num_patch_prototypes)
        check_non_negative("class_weight", class_weight)
        check_non_negative("patch_weight", patch_weight)
        check_non_negative("koleo_weight", koleo_weight)
        # Checked before heads are made, which are large.
        MASK.try_layer(masking, encoder)
        super().__init__(
            encoder,
            num_prototypes,
            views,
            head,
            student_temperature,
            teacher_temperature,
            center_momentum,
            ema_momentum,
            seed,
            **kwargs,
        )
        self.loss_weights = {
            "class_loss": class_weight,
            "patch_loss": patch_weight,
            "koleo_loss": koleo_weight,
        }
        with keras.RematScope(mode=None):
            self.masking = masking or StratifiedMasking(
                seed=related_seed(seed, 1)
            )
            self.mask_token = MaskToken(
                "zeros", dtype=self.dtype_policy, name="mask_token"
            )
            self.mask_token.build((None, None, encoder.hidden_dim))
            follow = self.moving_average.follow
            # Not used, but the authors' networks have it.
            self.teacher_mask_token = follow(
                self.mask_token, name="teacher_mask_token"
            )
            self.patch_head = self.teacher_patch_head = None
            if num_patch_prototypes is not None:
                self.patch_head = another_head(
                    self.head, num_patch_prototypes, encoder.hidden_dim
                )
                self.teacher_patch_head = follow(
                    self.patch_head, name="teacher_patch_head"
                )
            self.patch_centering = self.make_centering(
                self.list_prototypes()[-1],
                teacher_temperature,
                "patch_centering",
            )

    def make_head(self, num_prototypes):
        return DINOHead(
            num_prototypes,
            trainable_gain=True,
            dtype=self.dtype_policy,
            name="head",
        )

    def make_centering(self, prototypes, temperature, name):
        if self.centering_kind == "softmax":
            return super().make_centering(prototypes, temperature, name)
        centering = SinkhornCentering(start_of(temperature), name=name)
        centering.build((None, prototypes.num_prototypes))
        return centering

    def make_views(self, encoder, seed):
        return MultiCrop(
            *view_sizes(encoder),
            global_scale=(0.32, 1.0),
            local_scale=(0.05, 0.32),
            seed=seed,
        )

    def list_prototypes(self):
        own = [self.patch_head.prototypes] if self.patch_head else []
        return [*super().list_prototypes(), *own]

    def check_inputs(self, inputs):
        super().check_inputs(inputs)
        check_view_masks(inputs, self.student)

    def prepare(self, inputs, training):
        inputs = super().prepare(inputs, training)
        if "mask" in inputs:
            return inputs
        views = inputs["global_views"]
        mask = mask_views(self.student, self.masking, views)
        inputs = {**inputs, "mask": mask}
        if hasattr(self.masking, "count_hidden_in_batch"):
            count = self.masking.count_hidden_in_batch(
                ops.shape(views)[0] * views.shape[1],
                static_grid_size(views[:, 0], self.student),
            )
            inputs["hidden_indices"] = find_hidden(mask, count)
        return inputs

    def compute_losses(self, inputs, training):
        views, mask = inputs["global_views"], inputs["mask"]
        # The user's masks may hide any number of patches.
        places = inputs.get("hidden_indices")
        weights = take_patches(hidden_weights(mask), places)
        features, patches = encode_view_patches(self.teacher, views)
        targets = self.centering(self.teacher_head(features), training=training)
        head = self.teacher_patch_head or self.teacher_head
        patch_targets = self.patch_centering(
            head(take_patches(patches, places)),
            valid=weights > 0.0,
            training=training,
        )
        features, patches = encode_view_patches(
            self.student, views, training, mask, self.mask_token
        )
        spread = sum(koleo(x) for x in ops.unstack(features, axis=1))
        # The authors divide by one pair too many where all views are large.
        share = 1.0 if len(list_views(inputs)) > 1 else 2 / 3
        features = add_smaller_views(features, self.student, inputs, training)
        head = self.patch_head or self.head
        patch_scores = head(take_patches(patches, places))
        return {
            "class_loss": share
            * view_cross_entropy(
                targets, self.head(features), self.student_temperature
            ),
            "patch_loss": weighted_cross_entropy(
                patch_targets, patch_scores, weights, self.student_temperature
            ),
            "koleo_loss": spread,
            "target_entropy": entropy(targets),
        }

    def before_update(self, step):
        super().before_update(step)
        if callable(self.teacher_temperature):
            self.patch_centering.assign_temperature(
                self.teacher_temperature(step)
            )

    def compile(self, optimizer="rmsprop", **kwargs):
        super().compile(optimizer, **kwargs)
        total_steps = schedule_settings(self.optimizer).get("total_steps")
        if not self.has_own_temperature:
            self.teacher_temperature = FIRST_TEMPERATURE
        if total_steps is not None and not self.has_own_temperature:
            warmup_steps = total_steps * WARMUP_EPOCHS // self.published_epochs
            self.teacher_temperature = EpochWarmup(
                FIRST_TEMPERATURE, LAST_TEMPERATURE, warmup_steps, 1
            )

    def get_config(self):
        own = self.patch_head
        config = {
            **super().get_config(),
            "num_patch_prototypes": own and own.prototypes.num_prototypes,
            "centering": self.centering_kind,
            "masking": keras.saving.serialize_keras_object(self.masking),
            "class_weight": self.loss_weights["class_loss"],
            "patch_weight": self.loss_weights["patch_loss"],
            "koleo_weight": self.loss_weights["koleo_loss"],
        }
        if not self.has_own_temperature:
            config["teacher_temperature"] = None
        return config
