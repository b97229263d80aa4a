import keras
from keras import ops

from keras_capi.decoders.cross_attention_predictor import (
    CrossAttentionPredictor,
)
from keras_capi.decoders.cross_attention_predictor import check_predictor_sizes
from keras_capi.encoders.rotary_vit import RotaryViT
from keras_capi.encoders.training_mixin import TrainingMixin
from keras_capi.fitting.guarded_model import GuardedModel
from keras_capi.layers.related_seed import related_seed
from keras_capi.saving.preset import PresetMixin
from keras_capi.saving.quantization import serialize_dtype
from keras_capi.validation import check_image_shape
from keras_capi.validation import check_images
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPIBackbone(PresetMixin, TrainingMixin, GuardedModel):
    """Encoder and predictor of CAPI: turns images into features.

    For any task, `feature_map` describes each patch and `global` the image. The
    latter is the mean over all positions of what the predictor's first block
    makes of them, which in the paper serves image classification far better
    than the mean of the patch features.

    The defaults are those of the published ViT-L/14.

    Args:
        patch_size: Integer. Side of a patch in pixels. Defaults to `14`.
        num_layers: Integer. Blocks of the encoder. Defaults to `24`.
        predictor_num_layers: Integer. Blocks of the predictor. Defaults to
            `12`.
        hidden_dim: Integer. Width of the encoder. Defaults to `1024`.
        predictor_hidden_dim: Integer or `None`. Width of the predictor; `None`
            is `hidden_dim`. Defaults to `None`.
        num_heads: Integer. Attention heads of the encoder; the head size must
            be divisible by 4. Defaults to `16`.
        num_register_tokens: Integer, divisible by 4. Defaults to `16`.
        register_coordinates: `"edge"` or `"zeros"`, see
            `keras_capi.layers.RegisterTokens`. Defaults to `"edge"`.
        scale_registers_to_visible: Boolean. Whether the registers' coordinates
            follow the bounding box of the visible patches. Defaults to `True`.
        drop_path_rate: Float in `[0, 1)`. Stochastic depth in training, the
            same in every block. Defaults to `0.2`.
        image_shape: Tuple `(height, width, channels)`. Height and width may be
            `None`, and then vary from batch to batch. Defaults to
            `(None, None, 3)`.
        predictor_num_heads: Integer or `None`. Attention heads of the
            predictor; `None` is `num_heads`. Defaults to `None`.
        mlp_dim: Integer or `None`. Hidden width of the encoder's perceptrons;
            `None` is 4 times its width. Defaults to `None`.
        predictor_mlp_dim: Integer or `None`. The same for the predictor.
            Defaults to `None`.
        drop_path_method: `"efficient"` or `"naive"`, see
            `keras_capi.layers.DropPath`. Defaults to `"efficient"`.
        seed: Integer or `None`. Seed of stochastic depth. Defaults to `None`.
        lora_rank: Integer or `None`. As if `enable_lora` had been called with
            it. Defaults to `None`.

    Call arguments:
        images: Float tensor of shape `(batch, height, width, channels)`,
            normalised; height and width divisible by `patch_size`.
        layers: Tuple of integers, from 1 to `num_layers`. Blocks of the encoder
            whose output to return too. Defaults to `()`.
        training: Boolean. Whether to apply stochastic depth.

    Output shape:
        A dictionary: `"global"` of shape `(batch, predictor_hidden_dim)`,
        `"registers"` of shape `(batch, num_register_tokens, hidden_dim)`,
        `"feature_map"` of shape `(batch, rows, columns, hidden_dim)`, and for
        each of `layers` a feature map like it, `"layer_1"` and so on.

    Raises:
        ValueError: If sizes do not divide as said above, or the images have
            another rank, number of channels or integer values.

    Example:

    >>> backbone = keras_capi.models.CAPIBackbone(
    ...     patch_size=8, num_layers=2, predictor_num_layers=1, hidden_dim=48,
    ...     num_heads=4,
    ... )
    >>> features = backbone(keras.random.uniform((2, 32, 40, 3)))
    >>> features["feature_map"].shape  # (2, 4, 5, 48)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), sections 3 and 4.1, appendix A
    """

    def __init__(
        self,
        patch_size=14,
        num_layers=24,
        predictor_num_layers=12,
        hidden_dim=1024,
        predictor_hidden_dim=None,
        num_heads=16,
        num_register_tokens=16,
        register_coordinates="edge",
        scale_registers_to_visible=True,
        drop_path_rate=0.2,
        image_shape=(None, None, 3),
        predictor_num_heads=None,
        mlp_dim=None,
        predictor_mlp_dim=None,
        drop_path_method="efficient",
        seed=None,
        lora_rank=None,
        **kwargs,
    ):
        # A `keras.RematScope` is for the blocks, see `RotaryViT`.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        self.image_shape = check_image_shape(image_shape, patch_size)
        check_predictor_sizes(
            predictor_num_layers,
            predictor_hidden_dim,
            predictor_num_heads,
            predictor_mlp_dim,
        )
        self.seed = seed
        self.encoder = RotaryViT(
            patch_size,
            num_layers,
            hidden_dim,
            num_heads,
            mlp_dim,
            num_register_tokens,
            register_coordinates,
            scale_registers_to_visible,
            drop_path_rate,
            drop_path_method,
            self.image_shape[-1],
            seed,
            dtype=self.dtype_policy,
            name="encoder",
        )
        self.predictor = CrossAttentionPredictor(
            predictor_num_layers,
            predictor_hidden_dim or hidden_dim,
            predictor_num_heads or num_heads,
            hidden_dim,
            predictor_mlp_dim,
            drop_path_rate,
            drop_path_method,
            related_seed(seed, 1),
            dtype=self.dtype_policy,
            name="predictor",
        )
        if lora_rank is not None:
            check_positive_integer("lora_rank", lora_rank)
            self._add_lora(lora_rank)
        if not self.trainable:
            # A frozen backbone that is loaded: Keras freezes the parts that are
            # there when the base class is initialised, and these were not.
            self.encoder.trainable = self.predictor.trainable = False
        self.built = True

    @property
    def patch_size(self):
        return self.encoder.patch_size

    def call(self, images, layers=(), training=None):
        check_images(images, self.patch_size, self.image_shape[-1])
        last = self.encoder.num_layers
        outputs = self.encoder.encode_layers(
            images, (*layers, last), training=training
        )
        predictions = self.predictor(
            outputs[last],
            self.encoder.token_coordinates(images),
            self.encoder.patch_coordinates(images),
            num_layers=1,
            training=training,
        )
        num_registers = self.encoder.register_tokens.num_registers
        _, height, width, _ = ops.shape(images)
        rows, columns = height // self.patch_size, width // self.patch_size

        def feature_map(tokens):
            return ops.reshape(
                tokens[:, num_registers:],
                (-1, rows, columns, self.encoder.hidden_dim),
            )

        return {
            "global": ops.mean(predictions, axis=1),
            "registers": outputs[last][:, :num_registers],
            "feature_map": feature_map(outputs[last]),
            **{f"layer_{n}": feature_map(outputs[n]) for n in layers},
        }

    def encode_patches(self, images, training=None):
        """Returns the features of all patches, without the registers.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, rows * columns, hidden_dim)`.
        """
        tokens = self.encoder(images, training=training)
        return tokens[:, self.encoder.register_tokens.num_registers :]

    def predict_masked(
        self, images, visible_indices, predict_indices, training=None
    ):
        """Predicts features of hidden patches from the visible ones.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            visible_indices: Integer tensor of shape `(batch, visible)`: the
                row-major patches that the encoder sees.
            predict_indices: Integer tensor of shape `(batch, predictions)`: the
                patches to predict.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, predictions, predictor_hidden_dim)`.
        """
        context = self.encoder(images, visible_indices, training=training)
        return self.predictor(
            context,
            self.encoder.token_coordinates(images, visible_indices),
            self.encoder.patch_coordinates(images, predict_indices),
            training=training,
        )

    def compute_output_spec(self, images, layers=(), training=None):
        check_images(images, self.patch_size, self.image_shape[-1])
        self.encoder.check_layers(layers)
        tokens = self.encoder.compute_output_spec(images)
        batch_size, _, width = tokens.shape
        rows, columns = (
            None if size is None else size // self.patch_size
            for size in images.shape[1:3]
        )
        shapes = {
            "global": (batch_size, self.predictor.hidden_dim),
            "registers": (
                batch_size,
                self.encoder.register_tokens.num_registers,
                width,
            ),
            **{
                name: (batch_size, rows, columns, width)
                for name in ("feature_map", *(f"layer_{n}" for n in layers))
            },
        }
        return {
            name: keras.KerasTensor(shape, self.compute_dtype)
            for name, shape in shapes.items()
        }

    def get_config(self):
        encoder, predictor = self.encoder, self.predictor
        registers = encoder.register_tokens
        return {
            **super().get_config(),
            "dtype": serialize_dtype(self),
            "patch_size": self.patch_size,
            "num_layers": encoder.num_layers,
            "predictor_num_layers": predictor.num_layers,
            "hidden_dim": encoder.hidden_dim,
            "predictor_hidden_dim": predictor.hidden_dim,
            "num_heads": encoder.num_heads,
            "predictor_num_heads": predictor.num_heads,
            "mlp_dim": encoder.mlp_dim,
            "predictor_mlp_dim": predictor.mlp_dim,
            "num_register_tokens": registers.num_registers,
            "register_coordinates": registers.coordinates,
            "scale_registers_to_visible": registers.scale_to_visible,
            "drop_path_rate": encoder.drop_path.rate,
            "drop_path_method": encoder.drop_path.method,
            "image_shape": self.image_shape,
            "seed": self.seed,
            "lora_rank": self.lora_rank,
        }
