import math

import keras
from keras import ops

from keras_capi.decoders.convolutional_decoder import ConvolutionalDecoder
from keras_capi.encoders.convolutional_encoder import ConvolutionalEncoder
from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.fitting.schedule_settings import schedule_settings
from keras_capi.layers.add_state import add_state
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.random_state import RandomState
from keras_capi.methods.inputs.noise_inputs import check_noise_inputs
from keras_capi.methods.inputs.noise_inputs import prepare_noise
from keras_capi.methods.shared.picture_comparison import PictureComparison
from keras_capi.methods.shared.tokenizer_training import check_schedules
from keras_capi.methods.shared.tokenizer_training import count_stages
from keras_capi.methods.shared.tokenizer_training import scheduled_values
from keras_capi.methods.shared.tokenizer_training import tokenizer_optimizer
from keras_capi.ops.clustering.used_words import used_words
from keras_capi.ops.gumbel_softmax import gumbel_softmax
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.optimizers.adamw import AdamW
from keras_capi.tokenizers.tokenizer import Tokenizer
from keras_capi.training.pretraining import Pretraining
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class DiscreteVAE(Tokenizer, Pretraining):
    """Learns a vocabulary of words for patches that images can be rebuilt from.

    Trains your own tokenizer for `keras_capi.methods.BEiT`. An encoder scores
    all words for each patch, and one of them is drawn softly (Gumbel-softmax),
    so that there is a gradient; a decoder turns the vectors of the words back
    into the image. The lower the temperature, the closer the soft choice is to
    the one word that is used later.

    Args:
        patch_size: Integer, a power of two. Side of the patch that becomes one
            word, in pixels.
        vocabulary_size: Integer. Number of words. Defaults to `8192`; 512 to
            2,048 suit a few thousand images.
        hidden_dim: Integer. Width of encoder and decoder. Defaults to `256`.
        codebook_dim: Integer. Width of a word's vector. Defaults to `512`.
        image_shape: Tuple `(height, width, channels)`. Height and width may be
            `None`. Defaults to `(None, None, 3)`.
        temperature: Float, a schedule, or `None` for the published cosine from
            1 to 1/16 over the first eighth of the optimizer's schedule, or 0.9
            if the schedule has no end. Defaults to `None`.
        straight_through: Boolean. Whether the decoder gets only the best word,
            with the gradient of the soft choice. Defaults to `False`.
        reconstruction: `"squared"` error of pixels or `"smooth_l1"`, both from
            BEiT's code, or `"logit_laplace"`, DALL-E's likelihood, see
            `keras_capi.ops.logit_laplace`. Defaults to `"squared"`.
        uniformity_weight: Float, schedule or `None`. Weight of the divergence
            of a patch's word probabilities from uniform, in nats. `None` is the
            published weight, which rises from 0 to 6.6 divided by the number of
            values in a patch, or 0 if the optimizer's schedule has no end.
            Defaults to `None`.
        seed: Integer or `None`. Seed of the noise that draws words. Defaults to
            `None`.
        mean: Sequence of numbers, what was subtracted from each channel of
            images in `[0, 1]` to normalise them, or `None` for that of
            `keras_capi.layers.ImageNetNormalization`. Only `"logit_laplace"`
            uses it. Defaults to `None`.
        standard_deviation: The same for what the channels were then divided by.
            Give both or neither. Defaults to `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`,
        normalised, or a dictionary with your own noise, `{"images": ...,
        "noise": (batch, rows, columns, vocabulary_size)}`, drawn from an
        exponential distribution.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.
        `tokenize` returns words.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> model = keras_capi.methods.DiscreteVAE(8, 64, hidden_dim=16)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 32, 32, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> token_ids = model.tokenize(images, grid_size=(4, 4))

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), whose code contains this model
    - [DALL-E](https://arxiv.org/abs/2102.12092), section 2.1
    """

    loss_weights = {"pixel_loss": 1.0, "weighted_uniformity_loss": 1.0}

    def __init__(
        self,
        patch_size,
        vocabulary_size=8192,
        hidden_dim=256,
        codebook_dim=512,
        image_shape=(None, None, 3),
        temperature=None,
        straight_through=False,
        reconstruction="squared",
        uniformity_weight=None,
        seed=None,
        mean=None,
        standard_deviation=None,
        **kwargs,
    ):
        num_stages = count_stages(patch_size)
        check_positive_integer("codebook_dim", codebook_dim)
        check_schedules(temperature, uniformity_weight)
        check_seed("seed", seed)
        encoder = ConvolutionalEncoder(
            num_stages,
            hidden_dim,
            image_shape,
            **{k: v for k, v in kwargs.items() if k == "dtype"},
        )
        super().__init__(
            patch_size,
            vocabulary_size,
            encoder.image_shape[-1],
            encoder=encoder,
            **kwargs,
        )
        self.encoder = encoder
        self.hidden_dim = hidden_dim
        self.codebook_dim = codebook_dim
        self.image_shape = encoder.image_shape
        self.temperature = temperature
        self.straight_through = straight_through
        self.comparison = PictureComparison(
            reconstruction, self.num_channels, mean, standard_deviation
        )
        self.reconstruction = reconstruction
        self.mean = self.comparison.mean
        self.standard_deviation = self.comparison.standard_deviation
        self.uniformity_weight = uniformity_weight
        self.seed = seed
        self.head = Dense(vocabulary_size, dtype=self.dtype_policy, name="head")
        self.head.build((None, None, None, hidden_dim))
        self.codebook = self.add_weight(
            name="codebook",
            shape=(vocabulary_size, codebook_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )
        self.decoder = ConvolutionalDecoder(
            num_stages,
            hidden_dim,
            self.comparison.num_outputs,
            dtype=self.dtype_policy,
            name="decoder",
        )
        self.decoder.build((None, None, None, codebook_dim))
        self.random_state = RandomState(seed)
        # Temperature and uniformity weight of the current step.
        self.scheduled = add_state(self, "scheduled", (2,))
        self._total_steps = None
        self.scheduled.assign(self._values_at(0))
        self.built = True

    def _values_at(self, step):
        return scheduled_values(
            step,
            self.temperature,
            self.uniformity_weight,
            self._total_steps,
            self.patch_size**2 * self.num_channels,
        )

    def compile(self, optimizer="rmsprop", **kwargs):
        super().compile(optimizer, **kwargs)
        settings = schedule_settings(self.optimizer)
        self._total_steps = settings.get("total_steps")

    def before_update(self, step):
        self.scheduled.assign(self._values_at(step))

    def word_scores(self, images):
        features = self.encoder(images)["feature_map"]
        return ops.cast(self.head(features), "float32")

    def check_inputs(self, inputs):
        check_noise_inputs(self.encoder, self.vocabulary_size, inputs)

    def prepare(self, inputs, training):
        return prepare_noise(
            self.encoder, self.vocabulary_size, self.random_state, inputs
        )

    def compute_losses(self, inputs, training):
        images = inputs["images"]
        scores = self.word_scores(images)
        temperature, weight = ops.unstack(ops.convert_to_tensor(self.scheduled))
        words = gumbel_softmax(
            scores, inputs["noise"], temperature, self.straight_through
        )
        outputs = ops.cast(self._decode_shares(words), "float32")
        errors = self.comparison.errors(images, outputs)
        # The divergence from uniform probabilities.
        shares = ops.softmax(scores, axis=-1)
        uniformity_loss = math.log(self.vocabulary_size) - entropy(shares)
        return {
            "pixel_loss": ops.mean(errors),
            "weighted_uniformity_loss": weight * uniformity_loss,
            "uniformity_loss": uniformity_loss,
            "used_words": used_words(scores),
            "temperature": temperature,
        }

    def decode_words(self, words):
        """Decodes soft choices of words into images.

        Args:
            words: Float tensor of shape
                `(batch, rows, columns, vocabulary_size)`.

        Returns:
            Tensor of shape `(batch, height, width, channels)`.
        """
        return self.comparison.pictures(self._decode_shares(words))

    def _decode_shares(self, words):
        words = ops.cast(words, self.compute_dtype)
        codebook = ops.cast(self.codebook, self.compute_dtype)
        return self.decoder(ops.matmul(words, codebook))

    def decode(self, token_ids):
        """Decodes words into images.

        Args:
            token_ids: Integer tensor of shape `(batch, rows, columns)`.

        Returns:
            Tensor of shape `(batch, height, width, channels)`.
        """
        words = ops.take(self.codebook, token_ids, axis=0)
        outputs = self.decoder(ops.cast(words, self.compute_dtype))
        return self.comparison.pictures(outputs)

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=1e-4,
        weight_decay=1e-4,
        **overrides,
    ):
        """Returns the optimizer of DALL-E's tokenizer, scaled to these steps.

        Args:
            total_steps: Integer. Updates of the whole training.
            batch_size: Integer. Images per batch. No rule for it is published,
                so the learning rate does not depend on it.
            learning_rate: Float, which a cosine decreases to an eightieth, or
                schedule. Defaults to `1e-4`.
            weight_decay: Float or schedule. Defaults to `1e-4`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        return tokenizer_optimizer(
            total_steps,
            batch_size,
            learning_rate,
            weight_decay=weight_decay,
            **overrides,
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "hidden_dim": self.hidden_dim,
            "codebook_dim": self.codebook_dim,
            "image_shape": self.image_shape,
            "temperature": serialize(self.temperature),
            "straight_through": self.straight_through,
            "reconstruction": self.reconstruction,
            "uniformity_weight": serialize(self.uniformity_weight),
            "seed": self.seed,
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
        }
