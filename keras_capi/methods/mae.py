import keras
from keras import ops

from keras_capi.decoders.mask_token_decoder import MaskTokenDecoder
from keras_capi.layers.masking.random_masking import RandomMasking
from keras_capi.methods.inputs.mask_form import INDICES
from keras_capi.methods.inputs.masked_inputs import check_masked_inputs
from keras_capi.methods.inputs.masked_inputs import prepare_masks
from keras_capi.methods.shared.check_patches import check_patches
from keras_capi.methods.shared.own_decoders import try_pixel_decoder
from keras_capi.methods.shared.reconstruction_optimizer import (
    ReconstructionOptimizerMixin,
)
from keras_capi.ops.losses.pixel_targets import pixel_targets
from keras_capi.ops.tokens import gather_tokens
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.grid_size import static_grid_size
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class MAE(ReconstructionOptimizerMixin, Pretraining):
    """Pretrains an encoder by reconstructing the pixels of hidden patches.

    A masked autoencoder. The encoder sees only a quarter of the patches, drawn
    at random; a narrow decoder fills the other positions with a mask token and
    predicts their pixels. There is one network and one loss, no teacher, and
    nothing that could collapse. As the encoder processes so few tokens, this is
    the fastest of all methods. Fine-tune its features: frozen, they are weaker
    than those of methods that predict features.

    Args:
        encoder: `keras_capi.encoders.Encoder`, preferably a `ViT` with
            `positions="sine"`.
        masking: Layer that turns images into masks, or `None` for
            `keras_capi.layers.RandomMasking` with a `mask_ratio` of 0.75, all
            of which is predicted. Defaults to `None`.
        decoder: `keras_capi.decoders.MaskTokenDecoder`, or `None` for the
            published one with 8 blocks of width 512. Defaults to `None`.
        normalize_pixels: Boolean. Whether the pixels of each patch are
            normalised to mean 0 and standard deviation 1 before they are
            predicted, as the authors recommend. Defaults to `True`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary with your own masks, `{"images": ..., "visible_indices":
        (batch, visible), "predict_indices": (batch, predictions)}`, row-major
        patches.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     8, 2, 48, 4, image_shape=(64, 64, 3), positions="sine"
    ... )
    >>> model = keras_capi.methods.MAE(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]

    Reference:

    - [MAE](https://arxiv.org/abs/2111.06377)
    """

    loss_weights = {"pixel_loss": 1.0}

    def __init__(
        self,
        encoder,
        masking=None,
        decoder=None,
        normalize_pixels=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_patches(encoder)
        check_seed("seed", seed)
        with keras.RematScope(mode=None):
            self.masking = masking or RandomMasking(
                mask_ratio=0.75,
                prediction_ratio=1.0,
                seed=seed,
                round_visible=True,
            )
            INDICES.try_layer(masking, encoder)
        self.encoder = encoder
        self.decoder = decoder or MaskTokenDecoder.for_encoder(
            encoder, dtype=self.dtype_policy, name="decoder"
        )
        try_pixel_decoder(decoder, encoder)
        self.normalize_pixels = normalize_pixels
        self.seed = seed
        self.built = True

    def check_inputs(self, inputs):
        check_masked_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_masks(self.encoder, self.masking, inputs)

    def compute_losses(self, inputs, training):
        predictions = self.predict_pixels(**inputs, training=training)
        num_visible = ops.shape(inputs["visible_indices"])[1]
        targets = pixel_targets(
            inputs["images"], self.encoder.patch_size, self.normalize_pixels
        )
        targets = gather_tokens(targets, inputs["predict_indices"])
        predictions = ops.cast(predictions[:, num_visible:], "float32")
        return {"pixel_loss": ops.mean(ops.square(predictions - targets))}

    def predict_pixels(
        self, images, visible_indices, predict_indices, training=None
    ):
        """Predicts the pixels of patches from the visible ones.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            visible_indices: Integer tensor of shape `(batch, visible)`: the
                row-major patches that the encoder sees.
            predict_indices: Integer tensor of shape `(batch, predictions)`: the
                patches to predict.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, visible + predictions, patch_size**2 *
            channels)`, visible patches first, which do not enter the loss;
            values in the order row, column, channel.
        """
        tokens, positions = self.encoder.embed(images, visible_indices)
        encoded = self.encoder.encode(tokens, positions, training=training)
        return self.decoder(
            encoded["prefix"],
            encoded["patches"],
            visible_indices,
            predict_indices,
            grid_size=static_grid_size(images, self.encoder),
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "masking": serialize(self.masking),
            "decoder": serialize(self.decoder),
            "normalize_pixels": self.normalize_pixels,
            "seed": self.seed,
        }
