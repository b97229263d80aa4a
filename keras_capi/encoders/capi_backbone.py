import keras

from keras_capi.decoders.rotary_predictor import check_predictor_sizes
from keras_capi.encoders.capi_parts import find_position_grid
from keras_capi.encoders.capi_parts import find_predictor
from keras_capi.encoders.encoder import Encoder
from keras_capi.encoders.fine_tuning_mixin import split_by_depth
from keras_capi.encoders.rotary_vit import RotaryViT
from keras_capi.layers.blocks.block_stack import block_attention
from keras_capi.layers.blocks.rotary_attention import RotaryAttention
from keras_capi.layers.related_seed import related_seed
from keras_capi.validation import check_non_negative_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class CAPIBackbone(Encoder):
    """Encoder and predictor of CAPI: turns images into features.

    For any task, `feature_map` describes each patch and `global` the whole
    image. The latter is the output of the predictor's first block, averaged
    over all positions, which in the paper works far better for image
    classification than the mean of the patch features.

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
        mlp_dim: Integer or `None`. Hidden width of the encoder's MLPs; `None`
            is 4 times its width. Defaults to `None`.
        predictor_mlp_dim: Integer or `None`. The same for the predictor.
            Defaults to `None`.
        drop_path_method: `"efficient"` or `"naive"`, see
            `keras_capi.layers.DropPath`. Defaults to `"efficient"`.
        seed: Integer or `None`. Seed of stochastic depth. Defaults to `None`.
        lora_rank: Integer or `None`. Rank to call `enable_lora` with; `None`
            adds no LoRA. Defaults to `None`.
        pad: Boolean. Whether to take images of any size, see
            `keras_capi.encoders.Encoder`. Defaults to `False`.
        predictor: `"cross_attention"`, or from CAPI's ablations
            `"self_attention"` (`keras_capi.decoders.JointPredictor`) or
            `"fused"` (`FusedPredictor`). With the last, the encoder itself
            predicts, only its sizes matter, and `global` is the mean of the
            patches. Defaults to `"cross_attention"`.
        positions: `"rotary"`, or from the ablations `"learned"`, which needs
            height and width in `image_shape`. Defaults to `"rotary"`.

    Call arguments:
        Those of `keras_capi.encoders.Encoder`; `layers` are blocks of the
        encoder.

    Output shape:
        A dictionary: `"global"` of shape `(batch, predictor_hidden_dim)`,
        `"registers"` of shape `(batch, num_register_tokens, hidden_dim)`,
        `"feature_map"` of shape `(batch, rows, columns, hidden_dim)`, and for
        each of `layers` such a feature map, `"layer_1"` and so on. With
        `visible_indices` there are `"patches"` and their coordinates,
        `"positions"`, instead of maps.

    Raises:
        ValueError: If sizes are not divisible as stated above, or images have
            the wrong rank or number of channels, or integer values.

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

    prefix_name = "registers"

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
        pad=False,
        predictor="cross_attention",
        positions="rotary",
        **kwargs,
    ):
        check_non_negative_integer("num_register_tokens", num_register_tokens)
        super().__init__(
            patch_size,
            num_layers,
            hidden_dim,
            num_register_tokens,
            image_shape,
            pad,
            **kwargs,
        )
        check_predictor_sizes(
            predictor_num_layers,
            predictor_hidden_dim,
            predictor_num_heads,
            predictor_mlp_dim,
        )
        self.seed = seed
        self.predictor_kind, self.position_kind = predictor, positions
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
            find_position_grid(positions, self.grid_size(self.image_shape)),
            dtype=self.dtype_policy,
            name="encoder",
        )
        self.position_grid = self.encoder.position_grid
        self.predictor_sizes = {
            "num_layers": predictor_num_layers,
            "hidden_dim": predictor_hidden_dim or hidden_dim,
            "num_heads": predictor_num_heads or num_heads,
            "mlp_dim": predictor_mlp_dim,
        }
        self.predictor = find_predictor(predictor).for_encoder(
            self.encoder,
            **self.predictor_sizes,
            seed=related_seed(seed, 1),
            dtype=self.dtype_policy,
            name="predictor",
        )
        self.global_dim = self.predictor.hidden_dim
        self.finish(lora_rank)

    def list_blocks(self):
        return [*self.encoder.blocks, *self.predictor.blocks]

    def set_rotary_trainable(self, trainable):
        """Sets whether the rotary frequencies are trained, or fixed.

        Args:
            trainable: Boolean.
        """
        for attention in self.list_rotary():
            attention.trains_frequencies = trainable

    def list_rotary(self):
        """Returns the attention layers with rotary positions."""
        attentions = (block.attention for block in self.list_blocks())
        return [x for x in attentions if isinstance(x, RotaryAttention)]

    def embed(self, images, visible_indices=None):
        return (
            self.encoder.patch_embedding(images, visible_indices),
            self.encoder.patch_coordinates(images, visible_indices),
        )

    def encode(
        self,
        tokens,
        positions,
        layers=(),
        training=None,
        normalize=True,
        attention_mask=None,
    ):
        outputs = self.encoder.encode_tokens(
            tokens,
            positions,
            (*layers, self.num_layers),
            training,
            normalize,
            attention_mask,
        )
        return self.name_outputs(outputs, positions, layers)

    def pool(self, outputs, training=None):
        return self.predictor.pool(self.encoder, outputs, training)

    def attention_weights(self, images, layer):
        tokens, positions = self.embed(images)
        outputs = self.encode(tokens, positions)
        tokens, turning = self.encoder.add_positions(tokens, positions)
        registers = block_attention(
            self.encoder.blocks, tokens, layer, **turning
        )
        return {
            self.prefix_name: registers[:, :, : self.num_prefix_tokens],
            **self.predictor.look(self.encoder, outputs),
        }

    def end_pretraining(self):
        self.set_rotary_trainable(False)

    def list_unused_parts(self, uses_global, normalize=True):
        return self.predictor.list_unused_parts(uses_global)

    def weights_by_depth(self):
        *blocks, last = [block.weights for block in self.encoder.blocks]
        return split_by_depth(
            self.weights, [*blocks, [*last, *self.predictor.weights]]
        )

    def encode_patches(self, images, training=None, layers=None):
        """Returns the features of all patches, without the registers.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            training: Boolean. Whether to apply stochastic depth.
            layers: Tuple of integers, numbers of blocks whose patch features
                are averaged, each computed as if it were the last. `None` takes
                the last. Defaults to `None`.

        Returns:
            Tensor of shape `(batch, rows * columns, hidden_dim)`.
        """
        layers = layers or (self.num_layers,)
        outputs = self.encoder.encode_layers(images, layers, training=training)
        tokens = sum(outputs.values()) / len(outputs)
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
        return self.predictor.predict_masked(
            self.encoder, images, visible_indices, predict_indices, training
        )

    def get_config(self):
        encoder = self.encoder
        registers = encoder.register_tokens
        sizes = self.predictor_sizes
        return {
            **super().get_config(),
            **{f"predictor_{name}": size for name, size in sizes.items()},
            "num_heads": encoder.num_heads,
            "mlp_dim": encoder.mlp_dim,
            "num_register_tokens": registers.num_registers,
            "register_coordinates": registers.coordinates,
            "scale_registers_to_visible": registers.scale_to_visible,
            "drop_path_rate": encoder.drop_path.rate,
            "drop_path_method": encoder.drop_path.method,
            "seed": self.seed,
            "predictor": self.predictor_kind,
            "positions": self.position_kind,
            "lora_rank": self.lora_rank,
        }
