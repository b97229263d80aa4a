import math

import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.methods.inputs.rotated_inputs import check_rotated_inputs
from keras_capi.methods.inputs.rotated_inputs import prepare_rotated
from keras_capi.methods.shared.mean_patches import mean_patches
from keras_capi.methods.shared.reconstruction_optimizer import (
    ReconstructionOptimizerMixin,
)
from keras_capi.ops.images.rotate_quarters import NUM_TURNS
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.pretraining import Pretraining


@keras.saving.register_keras_serializable(package="keras_capi")
class RotationPrediction(ReconstructionOptimizerMixin, Pretraining):
    """Pretrains an encoder by predicting which way up an image is.

    Known as RotNet. Each image is shown four times, rotated by 0, 90, 180 and
    270 degrees, and one linear layer on the mean feature of the patches
    predicts the angle. To tell, the encoder has to know what things are and how
    they stand. Where images have no way up, as in satellite or microscope
    images, there is nothing to learn. The last layers specialise in the angle:
    features of a middle layer are often better, see `layers` of
    `keras_capi.encoders.Encoder`. There is no teacher, and nothing that could
    collapse.

    Args:
        encoder: `keras_capi.encoders.Encoder`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, of
        which the middle square is used. Crop and flip them at random before,
        but leave the colours alone, as published. Or a dictionary with your own
        rotations, `{"rotated_images": (batch, turns, height, width, channels),
        "labels": (batch, turns)}`, the latter from 0 to 3: the number of
        quarter turns, anticlockwise.

    Output shape:
        Dictionary of the encoder's features of upright images, see
        `keras_capi.encoders.Encoder`. The loss trains the mean of
        `"feature_map"`, so use it as the feature of a whole image.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(64, 64, 3))
    >>> model = keras_capi.methods.RotationPrediction(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.encoder(images, layers=(1,))["layer_1"]

    Reference:

    - [Unsupervised representation learning by predicting image rotations](
      https://arxiv.org/abs/1803.07728)
    """

    loss_weights = {"rotation_loss": 1.0}
    instead_of_images = ("rotated_images",)

    def __init__(self, encoder, **kwargs):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        with keras.RematScope(mode=None):
            self.head = Dense(NUM_TURNS, dtype=self.dtype_policy, name="head")
        self.encoder = encoder
        self.head.build((None, encoder.hidden_dim))
        self.built = True

    def check_inputs(self, inputs):
        check_rotated_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_rotated(self.encoder, inputs)

    def compute_losses(self, inputs, training):
        images = inputs["rotated_images"]
        images = ops.reshape(images, (-1, *images.shape[2:]))
        labels = ops.reshape(ops.cast(inputs["labels"], "int32"), (-1,))
        logits = self.predict_turns(images, training)
        guesses = ops.cast(ops.argmax(logits, axis=-1), "int32")
        is_right = ops.cast(ops.equal(guesses, labels), "float32")
        return {
            "rotation_loss": ops.mean(label_cross_entropy(labels, logits)),
            "rotation_accuracy": ops.mean(is_right),
        }

    def predict_turns(self, images, training=None):
        """Predicts by how many quarter turns images are rotated.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, 4)`: scores of 0, 90, 180 and 270 degrees,
            anticlockwise.
        """
        return self.head(mean_patches(self.encoder, images, training))

    def chance_losses(self, images):
        """Returns the loss of guessing, by its name, for any images."""
        return {"rotation_loss": math.log(NUM_TURNS)}

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }
