import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.targets.color_targets import ColorTargets
from keras_capi.layers.views.color_removal import ColorRemoval
from keras_capi.methods.inputs.gray_inputs import check_gray_inputs
from keras_capi.methods.shared.check_patches import check_patches
from keras_capi.methods.shared.reconstruction_optimizer import (
    ReconstructionOptimizerMixin,
)
from keras_capi.ops.colors.color_codes import annealed_mean
from keras_capi.ops.losses.shared_cross_entropy import shared_cross_entropy
from keras_capi.ops.tokens import extract_patches
from keras_capi.ops.tokens import join_patches
from keras_capi.training.check_part import check_part
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_images

# In both directions, the colour of one in this many pixels is predicted.
STRIDE = 4


@keras.saving.register_keras_serializable(package="keras_capi")
class Colorization(ReconstructionOptimizerMixin, Pretraining):
    """Pretrains an encoder by colouring grey images.

    The encoder sees the lightness of an image, and one linear layer classifies
    the colour of each position among 313 colours. The prediction may be shared
    between colours where several are plausible, such as red and green for an
    apple. Rare colours count more; otherwise all predictions would be grey. To
    colour a thing, the encoder has to recognise it. There is no teacher, and
    nothing that could collapse.

    Args:
        encoder: `keras_capi.encoders.Encoder` with three channels, which sees
            grey images normalised like the input and can be used on coloured
            ones; or with one channel, which sees the lightness.
        targets: `keras_capi.layers.ColorTargets`, which sets the colours and
            their weights, or `None` for the published ones. Defaults to `None`.
        corruption: `keras_capi.layers.ColorRemoval`, which knows how images are
            normalised, or `None` for ImageNet's mean and standard deviation.
            Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, 3)`, in RGB; or
        a dictionary with your own colourless images, `{"corrupted_images":
        (batch, height, width, channels), "colors": (batch, height / stride,
        width / stride, 2)}`, the latter the a and b channels of CIE Lab.

    Output shape:
        Dictionary of the encoder's features of uncorrupted images, see
        `keras_capi.encoders.Encoder`. The loss does not train a class token, so
        use the mean of `"feature_map"` as the feature of a whole image. An
        encoder with one channel is given the lightness here, too.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(64, 64, 3))
    >>> model = keras_capi.methods.Colorization(encoder)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511)
    """

    loss_weights = {"color_loss": 1.0}
    instead_of_images = ("corrupted_images",)

    def __init__(self, encoder, targets=None, corruption=None, **kwargs):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_patches(encoder)
        check_part("targets", targets, ColorTargets)
        check_part("corruption", corruption, ColorRemoval)
        num_channels = encoder.image_shape[-1]
        with keras.RematScope(mode=None):
            self.targets = targets or ColorTargets(name="targets")
            self.corruption = corruption or ColorRemoval(
                num_channels, _find_stride(encoder.patch_size)
            )
            stride = self.corruption.stride
            if self.corruption.num_channels != num_channels:
                raise ValueError(
                    "`corruption` must have the encoder's number of channels. "
                    f"Received: {self.corruption.num_channels}, and "
                    f"{num_channels} of the encoder"
                )
            if encoder.patch_size % stride:
                raise ValueError(
                    "The stride of `corruption` must divide the encoder's "
                    f"patch size. Received: a stride of {stride}, patches of "
                    f"{encoder.patch_size}"
                )
            self.places_per_side = encoder.patch_size // stride
            self.head = Dense(
                self.places_per_side**2 * self.targets.num_bins,
                dtype=self.dtype_policy,
                name="head",
            )
        self.encoder = encoder
        self.head.build((None, None, encoder.hidden_dim))
        self.built = True

    def check_inputs(self, inputs):
        check_gray_inputs(self.encoder, self.corruption.stride, inputs)

    def prepare(self, inputs, training):
        self.check_inputs(inputs)
        if "colors" in inputs:
            return inputs
        images = inputs["images"]
        check_images(images, self.encoder.patch_size, 3)
        return self.corruption(images)

    def compute_losses(self, inputs, training):
        logits = self.predict_logits(inputs["corrupted_images"], training)
        indices, shares, weights = self.targets(
            ops.cast(inputs["colors"], "float32"), training=training
        )
        costs = shared_cross_entropy(indices, shares, logits)
        return {
            "color_loss": ops.mean(weights * costs),
            "color_cross_entropy": ops.mean(costs),
        }

    def predict_logits(self, images, training=None):
        """Scores all colours at each position.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                without colours.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, height / stride, width / stride, bins)`.
        """
        encoder = self.encoder
        tokens, positions = encoder.embed(images)
        encoded = encoder.encode(tokens, positions, training=training)
        return join_patches(
            self.head(encoded["patches"]),
            self.places_per_side,
            encoder.grid_size(ops.shape(images)[1:]),
        )

    def predict_choices(self, images):
        """Returns the share of each colour at each position of coloured images.

        Args:
            images: Float tensor of shape `(batch, height, width, 3)`.

        Returns:
            Float tensor of shape `(batch, height / stride, width / stride,
            bins)`, which sums to 1 over the bins.
        """
        gray = self.corruption(images)["corrupted_images"]
        return ops.softmax(self.predict_logits(gray, training=False), axis=-1)

    def predict_colors(self, images, temperature=0.38, training=None):
        """Predicts one colour for each position.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                without colours.
            temperature: Float, see `keras_capi.ops.annealed_mean`. Defaults to
                `0.38`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Float32 tensor of shape `(batch, height / stride, width / stride,
            2)`: the a and b channels of CIE Lab.
        """
        logits = self.predict_logits(images, training)
        return annealed_mean(logits, self.targets.bins, temperature)

    def predict_pixels(self, images, training=None):
        """Colours images.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                without colours.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Float32 tensor of shape `(batch, patches, patch_size**2 * 3)`,
            normalised like the images, values in the order row, column,
            channel; `keras_capi.ops.join_patches` turns them into images.
        """
        colors = self.predict_colors(images, training=training)
        return extract_patches(
            self.corruption.restore(images, colors), self.encoder.patch_size
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "targets": serialize(self.targets),
            "corruption": serialize(self.corruption),
        }


def _find_stride(patch_size):
    """Returns the published stride, or the next smaller one that fits."""
    return max(n for n in range(1, STRIDE + 1) if patch_size % n == 0)
