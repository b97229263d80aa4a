import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.views.corruption import Corruption
from keras_capi.methods.inputs.corrupted_inputs import check_corrupted_inputs
from keras_capi.methods.inputs.corrupted_inputs import prepare_corrupted
from keras_capi.methods.inputs.mask_form import CORRUPTED
from keras_capi.methods.shared.check_patches import check_patches
from keras_capi.methods.shared.reconstruction_optimizer import (
    ReconstructionOptimizerMixin,
)
from keras_capi.ops.losses.pixel_targets import pixel_targets
from keras_capi.ops.tokens import extract_patches
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class DenoisingAutoencoder(ReconstructionOptimizerMixin, Pretraining):
    """Pretrains an encoder by restoring corrupted images.

    The ancestor of all methods that hide part of an image and predict it. Noise
    is added to the pixels, or some of them are blacked out. The encoder sees
    all patches of the corrupted image: none are dropped or replaced by tokens.
    One linear layer predicts every pixel of the clean image, so the model also
    has to find out where the noise is. There is no teacher, and nothing that
    could collapse.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        corruption: `keras_capi.layers.Corruption`, or another layer that turns
            images into `{"corrupted_images": ..., "mask": ...}`. `None` is
            Gaussian noise with a standard deviation of 0.25 of the range from
            black to white, for images normalised as by
            `keras_capi.layers.ImageNetNormalization`. Defaults to `None`.
        corrupted_weight: Float, 0 or more. Factor of the squared errors of
            corrupted values. Defaults to `1.0`.
        intact_weight: Float, 0 or more. Factor of the squared errors of all
            other values; with 0 only corrupted ones are predicted. Defaults to
            `1.0`.
        seed: Integer or `None`. Seed of the default corruption. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with your own corrupted images, such as really noisy photos:
        `{"images": ..., "corrupted_images": ..., "mask": ...}`, all of one
        shape; the mask is Boolean, true where corrupted.

    Output shape:
        Dictionary of the encoder's features of clean images, see
        `keras_capi.encoders.Encoder`. The loss does not train a class token, so
        use the mean of `"feature_map"` as the feature of a whole image.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(64, 64, 3))
    >>> model = keras_capi.methods.DenoisingAutoencoder(
    ...     encoder, keras_capi.layers.Corruption("masking_patches", 0.5)
    ... )
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [Extracting and composing robust features with denoising autoencoders](
      https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf)
    - [Stacked denoising autoencoders](
      https://www.jmlr.org/papers/v11/vincent10a.html), section 4.2 (emphasis)
    """

    loss_weights = {"pixel_loss": 1.0}

    def __init__(
        self,
        encoder,
        corruption=None,
        corrupted_weight=1.0,
        intact_weight=1.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_patches(encoder)
        check_non_negative("corrupted_weight", corrupted_weight)
        check_non_negative("intact_weight", intact_weight)
        if corrupted_weight == intact_weight == 0:
            raise ValueError(
                "`corrupted_weight` and `intact_weight` must not both be 0. "
                f"Received: corrupted_weight={corrupted_weight}, "
                f"intact_weight={intact_weight}"
            )
        check_seed("seed", seed)
        with keras.RematScope(mode=None):
            self.corruption = corruption or Corruption(seed=seed)
            CORRUPTED.try_layer(corruption, encoder)
            self.head = Dense(
                encoder.patch_size**2 * encoder.image_shape[-1],
                dtype=self.dtype_policy,
                name="head",
            )
        self.encoder = encoder
        self.corrupted_weight = corrupted_weight
        self.intact_weight = intact_weight
        self.seed = seed
        self.head.build((None, None, encoder.hidden_dim))
        self.built = True

    def check_inputs(self, inputs):
        check_corrupted_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_corrupted(self.encoder, self.corruption, inputs)

    def compute_losses(self, inputs, training):
        patch_size = self.encoder.patch_size
        predictions = self.predict_pixels(inputs["corrupted_images"], training)
        targets = pixel_targets(inputs["images"], patch_size, normalize=False)
        weights = ops.where(
            extract_patches(inputs["mask"], patch_size),
            float(self.corrupted_weight),
            float(self.intact_weight),
        )
        errors = ops.square(ops.cast(predictions, "float32") - targets)
        return {"pixel_loss": ops.mean(weights * errors)}

    def predict_pixels(self, images, training=None):
        """Predicts the pixels of the clean images.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`:
                corrupted images.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, patches, patch_size**2 * channels)`, values
            in the order row, column, channel; `keras_capi.ops.join_patches`
            turns them into images.
        """
        tokens, positions = self.encoder.embed(images)
        encoded = self.encoder.encode(tokens, positions, training=training)
        return self.head(encoded["patches"])

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "corruption": serialize(self.corruption),
            "corrupted_weight": self.corrupted_weight,
            "intact_weight": self.intact_weight,
            "seed": self.seed,
        }
