import keras
import numpy as np
from keras import ops

from keras_capi.encoders.image_gpt import ImageGPTEncoder
from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.masking.independent_masking import IndependentMasking
from keras_capi.methods.inputs.images_alone import check_images_alone
from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.inputs.replaced_inputs import check_replaced_inputs
from keras_capi.methods.inputs.replaced_inputs import prepare_replaced
from keras_capi.methods.shared.color_chance import ColorChanceMixin
from keras_capi.methods.shared.color_clusters import cluster_colors
from keras_capi.methods.shared.color_clusters import sample_colors
from keras_capi.methods.shared.draw_words import draw_words
from keras_capi.methods.shared.warmup_from_zero import warmup_from_zero
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.ops.tokens import replace_tokens
from keras_capi.optimizers.adamw import AdamW
from keras_capi.optimizers.checks import check_training_size
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_images
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class ImageGPT(ColorChanceMixin, Pretraining):
    """Pretrains an encoder by predicting pixels, like a language model.

    A very small version of the image becomes a sequence of words, the colours
    of its pixels. If the encoder is `causal`, each word is predicted from those
    before it, and the model can complete images or draw new ones. Otherwise a
    few hidden words are predicted from all others, as in BERT. It knows nothing
    about images, not even that they have two dimensions, so it needs many of
    them and time. There is no teacher, and nothing that could collapse.

    Args:
        encoder: `keras_capi.encoders.ImageGPTEncoder`.
        palette: Float array of shape `(num_colors, num_channels)`, from -1 to
            1, preferably from `fit_palette`; or `None` to keep the encoder's,
            an even grid. Defaults to `None`.
        masking: Layer from images to `{"mask": ...}`, for encoders that are not
            causal, or `None` for `keras_capi.layers.IndependentMasking` with a
            `mask_ratio` of 0.15. Defaults to `None`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, of
        any size. An encoder that is not causal also takes a dictionary with
        your own masks, `{"images": ..., "mask": (batch, rows * columns)}`,
        Boolean, true where hidden, row-major pixels of the small image.

    Output shape:
        Dictionary of the encoder's features, see
        `keras_capi.encoders.ImageGPTEncoder`.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> images = np.random.rand(32, 32, 32, 3).astype("float32")
    >>> palette = keras_capi.methods.ImageGPT.fit_palette(images, 16)
    >>> encoder = keras_capi.encoders.ImageGPTEncoder(
    ...     2, 48, 4, image_size=4, num_colors=16
    ... )
    >>> model = keras_capi.methods.ImageGPT(encoder, palette)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["global"]
    >>> pictures = model.sample(2)  # (2, 4, 4, 3)

    Reference:

    - [Chen et al., 2020](https://cdn.openai.com/papers/Generative_Pretraining_from_Pixels_V2.pdf)
    """

    loss_weights = {"color_loss": 1.0}

    def __init__(
        self, encoder, palette=None, masking=None, seed=None, **kwargs
    ):
        super().__init__(encoder, **kwargs)
        if not isinstance(encoder, ImageGPTEncoder):
            raise ValueError(
                "`encoder` must be a `keras_capi.encoders.ImageGPTEncoder`. "
                f"Received: {type(encoder).__name__}"
            )
        if self.trainable:
            check_trainable("encoder", encoder)
        check_seed("seed", seed)
        if palette is not None:
            encoder.palette.assign_colors(palette)
            palette = np.asarray(palette, "float32")
        if masking is not None and encoder.causal:
            raise ValueError(
                "`masking` must be None for a causal encoder, which hides only "
                f"what comes later. Received: masking={masking}"
            )
        with keras.RematScope(mode=None):
            MASK.try_layer(masking, encoder)
            if masking is None and not encoder.causal:
                masking = IndependentMasking(seed=seed)
            self.masking = masking
            # All colours are equally likely at first.
            self.head = Dense(
                encoder.palette.num_colors,
                use_bias=False,
                kernel_initializer="zeros",
                dtype=self.dtype_policy,
                name="head",
            )
        self.head.build((None, None, encoder.hidden_dim))
        self.encoder = encoder
        self._palette = palette
        self.seed = seed
        self.built = True

    @staticmethod
    def fit_palette(
        images, num_colors=512, mean=None, standard_deviation=None, seed=0
    ):
        """Returns the colours that represent images best, by k-means.

        Args:
            images: Array of shape `(count, height, width, channels)`,
                preferably small already: unsigned integers up to 255, or
                normalised. At most a million pixels count.
            num_colors: Integer. Number of colours. Defaults to `512`.
            mean: See `keras_capi.layers.ColorPalette`. Defaults to `None`.
            standard_deviation: The same. Defaults to `None`.
            seed: Integer. Seed of k-means. Defaults to `0`.

        Returns:
            Float32 array of shape `(num_colors, channels)`, from -1 to 1.

        Raises:
            ImportError: If scikit-learn is not installed.
            ValueError: If there are fewer different pixels than colours.
        """
        pixels = sample_colors(images, mean, standard_deviation, seed)
        return cluster_colors(pixels, num_colors, seed)

    def check_inputs(self, inputs):
        check = (
            check_images_alone if self.encoder.causal else check_replaced_inputs
        )
        check(self.encoder, inputs)

    def prepare(self, inputs, training):
        if not self.encoder.causal:
            return prepare_replaced(self.encoder, self.masking, inputs)
        check_images_alone(self.encoder, inputs)
        return inputs

    def compute_losses(self, inputs, training):
        token_ids = self.encoder.tokenize(inputs["images"])
        mask = inputs.get("mask")
        logits = self.predict_logits(token_ids, mask)
        errors = label_cross_entropy(token_ids, logits)
        if mask is None:
            return {"color_loss": ops.mean(errors)}
        # Each image counts the same, unless nothing of it is hidden.
        weights = ops.cast(mask, "float32")
        counts = ops.maximum(ops.sum(weights, axis=1), 1.0)
        means = ops.sum(errors * weights, axis=1) / counts
        return {"color_loss": ops.mean(means)}

    def predict_logits(self, token_ids, mask=None):
        """Predicts the colour of each pixel.

        Args:
            token_ids: Integer tensor of shape `(batch, rows * columns)`, from
                `ImageGPTEncoder.tokenize`.
            mask: Optional Boolean tensor of the same shape, true where hidden.

        Returns:
            Tensor of shape `(batch, rows * columns, num_colors)`, the scores of
            each pixel's own colour, for which a causal encoder sees only the
            pixels before it.
        """
        tokens, positions = self.encoder.embed_colors(token_ids)
        if mask is not None:
            # A hidden pixel is known by its position alone.
            zeros = ops.zeros((self.encoder.hidden_dim,), tokens.dtype)
            tokens = replace_tokens(tokens, mask, zeros)
        encoded = self.encoder.encode(tokens, positions)
        return self.head(encoded["patches"])

    def sample(self, count, temperature=1.0, seed=0):
        """Draws new images, pixel by pixel.

        Args:
            count: Integer. Number of images.
            temperature: Float. Divides the scores: below 1, likely colours
                become more likely. Defaults to `1.0`.
            seed: Integer. Defaults to `0`.

        Returns:
            Float32 array of shape `(count, rows, columns, channels)`, small
            images, normalised.
        """
        check_positive_integer("count", count)
        shape = (count, *self.encoder.image_shape)
        return self.complete(np.zeros(shape, "float32"), 0, temperature, seed)

    def complete(self, images, num_given, temperature=1.0, seed=0):
        """Completes images: draws their last pixels, one after the other.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`,
                normalised, of any size.
            num_given: Integer. How many pixels of the small image to keep, in
                row-major order: half of them in the paper's figures.
            temperature: As for `sample`.
            seed: As for `sample`.

        Returns:
            Float32 array of shape `(batch, rows, columns, channels)`, small
            images, normalised.
        """
        check_images(images, 1, self.encoder.image_shape[-1])
        if not self.encoder.causal:
            raise ValueError(
                "Only a causal encoder can draw images, pixel by pixel. "
                f"Received: causal={self.encoder.causal}"
            )
        token_ids = draw_words(
            self.encoder,
            self.head,
            self.encoder.tokenize(images),
            num_given,
            temperature,
            seed,
        )
        token_ids = token_ids.reshape(-1, *self.encoder.image_size)
        return ops.convert_to_numpy(self.encoder.palette.restore(token_ids))

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=3e-3,
        weight_decay=0.0,
        beta_1=0.9,
        beta_2=0.95,
        warmup_steps=None,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Args:
            total_steps: Integer. Updates of the whole training.
            batch_size: Integer. Images per batch; 128 in the paper. The
                learning rate does not depend on it.
            learning_rate: Float or schedule. For the large model `1e-3` is
                published. Defaults to `3e-3`.
            weight_decay: Float or schedule. Defaults to `0.0`.
            beta_1: Float. Defaults to `0.9`.
            beta_2: Float. Defaults to `0.95`.
            warmup_steps: Integer. Steps of the warm-up, or `None` for a
                hundredth of all; the authors used one epoch. Defaults to
                `None`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        check_training_size(total_steps, batch_size)
        if not callable(learning_rate):
            if warmup_steps is None:
                warmup_steps = total_steps // 100
            learning_rate = warmup_from_zero(
                learning_rate, total_steps, warmup_steps
            )
        return AdamW(
            **{
                "learning_rate": learning_rate,
                "weight_decay": weight_decay,
                "beta_1": beta_1,
                "beta_2": beta_2,
                **overrides,
            }
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        palette = self._palette
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "palette": None if palette is None else palette.tolist(),
            "masking": serialize(self.masking),
            "seed": self.seed,
        }
