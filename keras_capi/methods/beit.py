import keras
from keras import ops

from keras_capi.fitting.passed_on_arguments import passes_on_to
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.masking.blockwise_masking import BlockwiseMasking
from keras_capi.layers.tokens.mask_token import MaskToken
from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.inputs.token_inputs import check_token_ids
from keras_capi.methods.shared.check_patches import check_patches
from keras_capi.methods.shared.replaced_patches import ReplacedPatches
from keras_capi.methods.shared.undecayed_optimizer import undecayed_optimizer
from keras_capi.ops.losses.label_cross_entropy import label_cross_entropy
from keras_capi.ops.losses.masked_mean import masked_mean
from keras_capi.ops.tokens import gather_tokens
from keras_capi.ops.tokens import list_hidden
from keras_capi.optimizers.adamw import AdamW
from keras_capi.tokenizers.tokenizer import Tokenizer
from keras_capi.training.check_trainable import check_trainable
from keras_capi.training.grid_size import static_grid_size
from keras_capi.validation import check_seed
from keras_capi.validation import is_array

# Of the patches of an image of 224 pixels.
MASK_RATIO = 75 / 196
# As wide as a normal distribution of deviation 0.02, cut off at one deviation.
INITIAL_DEVIATION = 0.0123


@keras.saving.register_keras_serializable(package="keras_capi")
class BEiT(ReplacedPatches):
    """Pretrains an encoder by predicting the words of hidden patches.

    This is BERT for images. A frozen tokenizer turns each patch into a word (a
    visual token); the encoder sees the image with blocks of patches replaced by
    a mask token, and one linear layer predicts the word of each hidden patch.
    Words leave out most of the detail in pixels, so the encoder learns shapes
    rather than textures. It can learn no more than the tokenizer knows.

    Args:
        encoder: `keras_capi.encoders.Encoder`, preferably a `ViT` with
            `positions=None`, `relative_positions="shared"`,
            `use_key_bias=False`, `layer_scale=0.1` and `drop_path_rate=0.1`.
        tokenizer: `keras_capi.tokenizers.Tokenizer`. It is frozen.
        masking: Layer that turns images into `{"mask": ...}`, or `None` for
            `keras_capi.layers.BlockwiseMasking` with a `mask_ratio` of 75 /
            196. A layer with a `count_hidden` method saves time, because only
            the words of hidden patches are scored then. Defaults to `None`.
        seed: Integer or `None`. Seed of the default masking. Defaults to
            `None`.

    Inputs:
        Images, a float tensor of shape `(batch, height, width, channels)`, or a
        dictionary of `"images"` and optionally `"mask"`, Boolean of shape
        `(batch, patches)`, row-major, true where hidden, and `"token_ids"`,
        integers of the same shape. Masks that are missing are drawn; words that
        are missing come from the tokenizer, for the images that the encoder
        gets. Each device averages over its own hidden patches, as in the
        authors' code.

    Output shape:
        Dictionary of the encoder's features, see `keras_capi.encoders.Encoder`.
        Nothing trains the class token, so use the mean of `"feature_map"` as
        the feature of a whole image.

    Raises:
        ValueError: If arguments or inputs are out of range or incompatible.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     8, 2, 48, 4, image_shape=(64, 64, 3), positions=None,
    ...     relative_positions="shared", use_key_bias=False, layer_scale=0.1,
    ... )
    >>> tokenizer = keras_capi.tokenizers.DALLETokenizer(64, hidden_dim=8)
    >>> model = keras_capi.methods.BEiT(encoder, tokenizer)
    >>> model.compile(model.published_optimizer(1000, batch_size=16))
    >>> images = np.random.rand(32, 64, 64, 3).astype("float32")
    >>> history = model.fit(images, batch_size=16)
    >>> features = model.predict(images)["feature_map"]

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254)
    """

    loss_weights = {"token_loss": 1.0}

    def __init__(self, encoder, tokenizer, masking=None, seed=None, **kwargs):
        super().__init__(encoder, **kwargs)
        if self.trainable:
            check_trainable("encoder", encoder)
        check_patches(encoder)
        check_seed("seed", seed)
        _check_tokenizer(tokenizer, encoder)
        tokenizer.freeze()
        initializer = keras.initializers.TruncatedNormal(
            stddev=INITIAL_DEVIATION
        )
        with keras.RematScope(mode=None):
            self.masking = masking or BlockwiseMasking(
                mask_ratio=MASK_RATIO, seed=seed
            )
            MASK.try_layer(masking, encoder)
            self.mask_token = MaskToken(
                initializer, dtype=self.dtype_policy, name="mask_token"
            )
            self.head = Dense(
                tokenizer.vocabulary_size,
                kernel_initializer=initializer.clone(),
                dtype=self.dtype_policy,
                name="head",
            )
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.seed = seed
        for part in (self.mask_token, self.head):
            part.build((None, None, encoder.hidden_dim))
        self.built = True

    def check_inputs(self, inputs):
        inputs, token_ids = _without_token_ids(inputs)
        super().check_inputs(inputs)
        images = inputs.get("images")
        if token_ids is not None and is_array(images):
            self._check_token_ids(token_ids, images)

    def _check_token_ids(self, token_ids, images):
        check_token_ids(
            token_ids, images, self.encoder, self.tokenizer.vocabulary_size
        )

    def prepare(self, inputs, training):
        inputs, token_ids = _without_token_ids(inputs)
        images = inputs["images"]
        prepared = super().prepare(inputs, training)
        if token_ids is None:
            token_ids = self.compute_token_ids(images)
        else:
            self._check_token_ids(token_ids, images)
        prepared = {**prepared, "token_ids": token_ids}
        # The user's masks may hide any number of patches.
        if "mask" not in inputs and hasattr(self.masking, "count_hidden"):
            count = self.masking.count_hidden(
                static_grid_size(images, self.encoder)
            )
            prepared["hidden_indices"] = list_hidden(prepared["mask"], count)
        return prepared

    def compute_losses(self, inputs, training):
        mask, labels = inputs["mask"], inputs["token_ids"]
        patches = self.encode_replaced(inputs["images"], mask, training)
        if "hidden_indices" in inputs:
            # The vocabulary is large: scoring all patches would take long.
            indices = inputs["hidden_indices"]
            patches = gather_tokens(patches, indices)
            mask, labels = (
                ops.take_along_axis(values, indices, axis=1)
                for values in (mask, labels)
            )
        logits = self.head(patches)
        words = ops.cast(ops.argmax(logits, axis=-1), "int32")
        is_right = ops.equal(words, ops.cast(labels, "int32"))
        return {
            "token_loss": masked_mean(
                label_cross_entropy(labels, logits), mask
            ),
            "token_accuracy": masked_mean(is_right, mask),
        }

    def compute_token_ids(self, images):
        """Returns the tokenizer's word for each patch.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Int32 tensor of shape `(batch, patches)`.
        """
        grid_size = static_grid_size(images, self.encoder)
        return ops.stop_gradient(self.tokenizer.tokenize(images, grid_size))

    def predict_logits(self, images, mask, training=None):
        """Predicts the words of all patches, some of which are hidden.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            mask: Boolean tensor of shape `(batch, patches)`, true where hidden.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, patches, vocabulary_size)`, scores. Those
            of visible patches do not enter the loss.
        """
        return self.head(self.encode_replaced(images, mask, training))

    def compile(self, optimizer="rmsprop", **kwargs):
        # `trainable = True` of the whole model would also thaw the tokenizer.
        self.tokenizer.freeze()
        super().compile(optimizer, **kwargs)

    @passes_on_to(AdamW)
    def published_optimizer(
        self,
        total_steps,
        batch_size,
        learning_rate=1.5e-3,
        weight_decay=0.05,
        clip_norm=3.0,
        **overrides,
    ):
        """Returns the published optimizer and its schedule.

        Args:
            total_steps: Integer. Updates of the whole training. The learning
                rate warms up over the first eightieth of them.
            batch_size: Integer. Images per batch. The learning rate was
                published for 2,048, without a rule for other sizes, so it does
                not depend on this.
            learning_rate: Float, 1e-5 or more, or schedule. Defaults to
                `1.5e-3`.
            weight_decay: Float or schedule. Defaults to `0.05`.
            clip_norm: Float or `None`. Defaults to `3.0`.
            **overrides: Other arguments of `keras_capi.optimizers.AdamW`.

        Returns:
            A Keras optimizer.
        """
        return undecayed_optimizer(
            total_steps,
            batch_size,
            learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            **overrides,
        )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "tokenizer": serialize(self.tokenizer),
            "masking": serialize(self.masking),
            "seed": self.seed,
        }


def _check_tokenizer(tokenizer, encoder):
    if not isinstance(tokenizer, Tokenizer):
        raise ValueError(
            "`tokenizer` must be a `keras_capi.tokenizers.Tokenizer`. "
            f"Received: {type(tokenizer).__name__}"
        )
    if tokenizer.num_channels != encoder.image_shape[-1]:
        raise ValueError(
            "`tokenizer` must take images of as many channels as `encoder`. "
            f"Received: {tokenizer.num_channels} and "
            f"encoder.image_shape={encoder.image_shape}"
        )


def _without_token_ids(inputs):
    rest = {name: x for name, x in inputs.items() if name != "token_ids"}
    return rest, inputs.get("token_ids")
