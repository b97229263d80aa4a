import math

import keras
from keras import ops

from keras_capi.layers.heads.pair_head import PairHead
from keras_capi.layers.views.patch_grid import PatchGrid
from keras_capi.methods.inputs.pair_inputs import check_pair_inputs
from keras_capi.methods.inputs.pair_inputs import default_crop_size
from keras_capi.methods.inputs.pair_inputs import prepare_pairs
from keras_capi.methods.inputs.view_inputs import built_views
from keras_capi.methods.shared.mean_patches import mean_patches
from keras_capi.methods.shared.reconstruction_optimizer import (
    ReconstructionOptimizerMixin,
)
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.ops.positions.neighbor_pairs import NUM_RELATIONS
from keras_capi.training.built_part import built_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_seed

# Width of the head's hidden layers, in widths of the encoder.
HEAD_RATIO = 4


@keras.saving.register_keras_serializable(package="keras_capi")
class RelativePosition(ReconstructionOptimizerMixin, Pretraining):
    """Pretrains an encoder by predicting where one patch lies from another.

    Also called context prediction. A 3 x 3 grid of patches is cut out of each
    image, with gaps and jitter, and each patch is encoded as an image of its
    own, so that none sees its neighbours. For each pair of neighbours, a head
    predicts which of the eight surrounding positions the second has, seen from
    the first. To tell, the encoder has to know the parts of objects. There is
    no teacher, and nothing that could collapse; but networks find shortcuts,
    such as chromatic aberration, which `keras_capi.layers.PatchGrid` works
    against.

    Args:
        encoder: `keras_capi.encoders.Encoder`. It sees patches, so its
            `image_shape` may be that of a patch.
        views: Layer that turns images into `{"patches": ...}`, or `None` for
            `keras_capi.layers.PatchGrid` with patches of about three sevenths
            of the encoder's image size, such as 96 for 224. Defaults to `None`.
        head: `keras_capi.layers.PairHead`, or `None` for one with hidden layers
            four times as wide as the encoder (4096 in the paper). Defaults to
            `None`.
        seed: Integer or `None`. Seed of the default views. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        preferably much larger than the patches; or a dictionary with your own
        patches, `{"patches": (batch, patches, height, width, channels),
        "pairs": (batch, pairs, 2), "labels": (batch, pairs)}`: which patches of
        an image are compared, and where the second lies from the first, see
        `keras_capi.ops.neighbor_pairs`. Without pairs and labels, nine patches
        are a 3 x 3 grid.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.
        The loss trains the mean of `"feature_map"`, so use it as the feature of
        a whole image.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(64, 64, 3))
    >>> model = keras_capi.methods.RelativePosition(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [Unsupervised visual representation learning by context prediction](
      https://arxiv.org/abs/1505.05192)
    """

    loss_weights = {"position_loss": 1.0}
    instead_of_images = ("patches",)

    def __init__(self, encoder, views=None, head=None, seed=None, **kwargs):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_seed("seed", seed)
        with keras.RematScope(mode=None):
            self.views = built_views(views, encoder) or PatchGrid(
                default_crop_size(encoder), seed=seed
            )
            self.head = head or PairHead(
                (HEAD_RATIO * encoder.hidden_dim,) * 3,
                dtype=self.dtype_policy,
                name="head",
            )
            built_part("head", self.head, (None, None, encoder.hidden_dim))
        self.encoder = encoder
        self.seed = seed
        self.built = True

    def check_inputs(self, inputs):
        check_pair_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_pairs(self.encoder, self.views, inputs)

    def compute_losses(self, inputs, training):
        logits = self.predict_positions(
            inputs["patches"], inputs["pairs"], training
        )
        labels = ops.cast(inputs["labels"], "int32")
        losses = label_cross_entropy(labels, logits)
        guesses = ops.cast(ops.argmax(logits, axis=-1), "int32")
        is_right = ops.cast(ops.equal(guesses, labels), "float32")
        return {
            # As published, the sum over all pairs of an image.
            "position_loss": ops.mean(ops.sum(losses, axis=1)),
            "pair_loss": ops.mean(losses),
            "position_accuracy": ops.mean(is_right),
        }

    def predict_positions(self, patches, pairs, training=None):
        """Predicts where the second patch of a pair lies from the first.

        Args:
            patches: Float tensor of shape `(batch, patches, height, width,
                channels)`.
            pairs: Integer tensor of shape `(batch, pairs, 2)`.
            training: Boolean. Whether to apply stochastic depth, and to
                normalise with the statistics of the batch.

        Returns:
            Tensor of shape `(batch, pairs, 8)`: scores of the eight positions,
            row-major.
        """
        num_patches = ops.shape(patches)[1]
        images = ops.reshape(patches, (-1, *patches.shape[2:]))
        features = mean_patches(self.encoder, images, training)
        features = ops.reshape(features, (-1, num_patches, features.shape[-1]))
        return self.head(features, pairs, training=training)

    def chance_losses(self, images):
        """Returns the loss of guessing, by its name, for any images."""
        return {"pair_loss": math.log(NUM_RELATIONS)}

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "views": serialize(self.views),
            "head": serialize(self.head),
            "seed": self.seed,
        }
