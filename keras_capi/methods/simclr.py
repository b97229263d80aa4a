import keras
from keras import ops

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.heads.simclr_head import SimCLRHead
from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.methods.inputs.view_inputs import built_views
from keras_capi.methods.inputs.view_inputs import check_two_views
from keras_capi.methods.inputs.view_inputs import check_views
from keras_capi.methods.inputs.view_inputs import encode_views
from keras_capi.methods.inputs.view_inputs import prepare_views
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.methods.shared.check_several_images import check_several_images
from keras_capi.methods.shared.mae_schedule import mae_schedule
from keras_capi.ops.losses.info_nce import contrast_views
from keras_capi.ops.losses.info_nce import info_nce
from keras_capi.ops.normalization import l2_normalize
from keras_capi.optimizers.checks import check_training_size
from keras_capi.optimizers.group import Group
from keras_capi.optimizers.lars import LARS
from keras_capi.training.built_part import built_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.pretraining import Pretraining
from keras_capi.training.vectors import list_vectors
from keras_capi.validation import check_positive
from keras_capi.validation import check_seed

# The smallest norm that projections are divided by.
NORM_EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="keras_capi")
class SimCLR(Pretraining):
    """Pretrains an encoder by matching views of an image among all others.

    Two crops of each image, with different colours, go through the encoder and
    a head. The projections of the two have to be more similar to each other
    than to those of other images: each has to find its partner among both views
    of all images of the batch, over all devices. There is no teacher, and
    nothing that could collapse, but it needs many other images to compare with,
    so large batches. As crops are compared, each image should show a single
    subject. Batches of one image are refused.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        temperature: Float. Divides the cosine similarities. Defaults to `0.1`.
        head: `keras_capi.layers.SimCLRHead`, or `None` for the published one.
            Defaults to `None`.
        views: Layer that turns images into `"global_views"`, two of each, or
            `None` for the published crops and colours at the encoder's image
            size. Defaults to `None`.
        seed: Integer or `None`. Seed of the default views. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably larger than the views; or a dictionary with your own views,
        `{"global_views": (batch, 2, height, width, channels)}`.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(32, 32, 3))
    >>> model = keras_capi.methods.SimCLR(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 48, 48, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [SimCLR](https://arxiv.org/abs/2002.05709)
    - [SimCLRv2](https://arxiv.org/abs/2006.10029)
    """

    loss_weights = {"contrastive_loss": 1.0}
    instead_of_images = ("global_views",)

    def __init__(
        self,
        encoder,
        temperature=0.1,
        head=None,
        views=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_positive("temperature", temperature)
        check_seed("seed", seed)
        self.temperature = temperature
        self.seed = seed
        self.encoder = encoder
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            self.views = built_views(views, encoder) or _published_views(
                encoder, seed
            )
            self.head = head or SimCLRHead(dtype=self.dtype_policy, name="head")
            built_part("head", self.head, (None, None, encoder.global_dim))
        self.built = True

    def check_batch_size(self, batch_size):
        check_several_images(self, batch_size, "set `batch_size`")

    def check_inputs(self, inputs):
        check_views(inputs, self.encoder)
        check_two_views(inputs)

    def prepare(self, inputs, training):
        self.check_inputs(inputs)
        return prepare_views(inputs, self.encoder, self.views)

    def compute_losses(self, inputs, training):
        check_two_views(inputs)
        features = encode_views(self.encoder, inputs["global_views"], training)
        labels, logits = contrast_views(
            self.project(features, training), self.temperature
        )
        found = ops.argmax(logits, axis=-1)
        is_right = ops.equal(ops.cast(found, labels.dtype), labels)
        return {
            "contrastive_loss": info_nce(labels, logits),
            "contrastive_accuracy": ops.mean(ops.cast(is_right, "float32")),
        }

    def project(self, features, training=None):
        """Returns the projections of features, which the loss compares.

        Args:
            features: Float tensor of shape `(..., global_dim)`.
            training: Boolean. Whether to normalise with the statistics of the
                batch.

        Returns:
            Float32 tensor of shape `(..., output_dim)`, vectors of length 1.
        """
        return l2_normalize(
            self.head(features, training=training), epsilon=NORM_EPSILON
        )

    @passes_on_to(LARS)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=None,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first tenth of them.
            batch_size: Integer. Images per batch, over all devices. The
                learning rate is `0.3 * batch_size / 256`; for small batches the
                paper suggests `0.075 * sqrt(batch_size)`.
            learning_rate: Float or schedule, to replace that rate. Defaults to
                `None`.
            **overrides: Other arguments of `keras_capi.optimizers.LARS`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if learning_rate is None:
            learning_rate = 0.3 * batch_size / 256
        if not callable(learning_rate):
            learning_rate = mae_schedule(
                learning_rate, total_steps, total_steps // 10
            )
        return LARS(
            **{
                "learning_rate": learning_rate,
                "groups": {"vectors": Group(weight_decay_multiplier=0.0)},
                **overrides,
            }
        )

    def parameter_groups(self):
        return {"vectors": list_vectors(self.trainable_variables)}

    def list_unused_parts(self):
        return self.encoder.list_unused_parts(uses_global=True)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "temperature": self.temperature,
            "head": serialize(self.head),
            "views": serialize(self.views),
            "seed": self.seed,
        }


def _published_views(encoder, seed):
    size, _ = view_sizes(encoder)
    return MultiCrop(
        size,
        num_local_views=0,
        global_scale=(0.08, 1.0),
        jitter=(0.8, 0.8, 0.8, 0.2),
        blur_rates=(0.5, 0.5, 0.5),
        solarize_rates=(0.0, 0.0, 0.0),
        seed=seed,
    )
