import keras
from keras import ops

from keras_capi import backend
from keras_capi.decoders.known_grid_size import known_grid_size
from keras_capi.decoders.visible_tokens import check_visible_tokens
from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.build_in_constructor import build_in_constructor
from keras_capi.layers.fan_in_uniform import fan_in_uniform
from keras_capi.layers.grouped_convolution import GroupedConvolution
from keras_capi.layers.random_state import RandomState
from keras_capi.ops.normalization import layer_normalize
from keras_capi.ops.tokens import gather_tokens
from keras_capi.saving.base_model import BaseModel
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_non_negative
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed


@keras.saving.register_keras_serializable(package="keras_capi")
class ConvolutionalPredictor(BaseModel):
    """Predicts the features of patches by convolutions over their grid.

    The tokens of visible patches are put in their places on the grid, with
    faint noise in place of hidden patches, and a few residual convolutions fill
    it in. There is no attention, no mask token, and no position embedding: the
    grid itself holds the positions. This is so cheap that an image can have
    many masks.

    Args:
        hidden_dim: Integer, divisible by `num_groups`. Width of the encoder's
            tokens and of the predictions.
        grid_size: Tuple of two integers: rows and columns of patches.
        num_layers: Integer. Number of convolutions. Defaults to `6`.
        kernel_size: Integer. Side of the convolutions' kernels, in patches.
            Defaults to `3`.
        num_groups: Integer. Groups of channels in the convolutions. Defaults to
            `16`.
        noise_deviation: Float. Standard deviation of the normal noise at hidden
            patches. It is only added in training. Defaults to `0.01`.
        convolution_dim: Integer, divisible by `num_groups`, or `None` for
            `hidden_dim`. Width of the convolutions; published is 1024 for
            tokens of width 1280. The first convolution is residual only if both
            widths are equal. Defaults to `None`.
        seed: Integer or `None`. Seed of the noise. Defaults to `None`.

    Call arguments:
        patches: Float tensor of shape `(batch, visible, hidden_dim)`.
        visible_indices: Integer tensor of shape `(batch, visible)`: their
            row-major patch indices.
        grid_size: Optional tuple of two integers: rows and columns of patches,
            if they differ from the constructor's.
        training: Boolean. Whether to add the noise.

    Output shape:
        `(batch, rows * columns, hidden_dim)`: for all patches, row-major.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> predictor = keras_capi.decoders.ConvolutionalPredictor(32, (2, 3))
    >>> predictor(np.zeros((5, 2, 32)), np.array([[0, 4]] * 5)).shape
    >>> # (5, 6, 32)

    Reference:

    - [data2vec 2.0](https://arxiv.org/abs/2212.07525), section 3.2
    """

    def __init__(
        self,
        hidden_dim,
        grid_size,
        num_layers=6,
        kernel_size=3,
        num_groups=16,
        noise_deviation=0.01,
        convolution_dim=None,
        seed=None,
        **kwargs,
    ):
        # Rematerialisation would draw different noise in the backward pass.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
            width = hidden_dim if convolution_dim is None else convolution_dim
            for name, value in (
                ("hidden_dim", hidden_dim),
                ("convolution_dim", width),
                ("num_layers", num_layers),
                ("kernel_size", kernel_size),
                ("num_groups", num_groups),
            ):
                check_positive_integer(name, value)
            check_non_negative("noise_deviation", noise_deviation)
            check_seed("seed", seed)
            for name, value in (
                ("hidden_dim", hidden_dim),
                ("convolution_dim", width),
            ):
                if value % num_groups:
                    raise ValueError(
                        f"`{name}` must be divisible by `num_groups`. "
                        f"Received: {name}={value}, num_groups={num_groups}"
                    )
            # torch's defaults, which the authors' code does not change.
            kernel_initializer = keras.initializers.VarianceScaling(
                1 / 3, "fan_in", "uniform"
            )
            sizes = [hidden_dim, *[width] * (num_layers - 1)]
            self.convolutions = [
                GroupedConvolution(
                    width,
                    # Keras refuses NumPy's integers.
                    int(kernel_size),
                    num_groups,
                    kernel_initializer=kernel_initializer.clone(),
                    bias_initializer=fan_in_uniform(
                        size // num_groups * kernel_size**2
                    ),
                    dtype=self.dtype_policy,
                    name=f"convolution_{index}",
                )
                for index, size in enumerate(sizes)
            ]
            self.prediction = Dense(
                hidden_dim,
                kernel_initializer=kernel_initializer.clone(),
                bias_initializer=fan_in_uniform(width),
                dtype=self.dtype_policy,
                name="prediction",
            )
            self.random_state = RandomState(seed, name="random_state")
        self.hidden_dim = hidden_dim
        self.grid_size = check_grid_size(grid_size)
        self.num_layers = num_layers
        self.kernel_size = kernel_size
        self.num_groups = num_groups
        self.noise_deviation = noise_deviation
        self.convolution_dim = convolution_dim
        self.seed = seed
        build_in_constructor(self, (None, None, hidden_dim))

    @classmethod
    def for_encoder(cls, encoder, **arguments):
        """Returns a predictor with sizes that fit an encoder.

        Args:
            encoder: `keras_capi.encoders.Encoder`.
            **arguments: Other arguments of the constructor.
        """
        return cls(
            encoder.hidden_dim,
            known_grid_size(encoder),
            **arguments,
        )

    def build(self, patches_shape, *args):
        size = self.hidden_dim
        for convolution in self.convolutions:
            convolution.build((None, None, None, size))
            size = convolution.filters
        self.prediction.build((None, None, size))

    def call(self, patches, visible_indices, grid_size=None, training=None):
        check_visible_tokens(patches, visible_indices)
        rows, columns = grid_size or self.grid_size
        grid = self.fill_grid(
            ops.cast(patches, self.compute_dtype),
            visible_indices,
            rows * columns,
            training,
        )
        grid = ops.reshape(grid, (-1, rows, columns, self.hidden_dim))
        for convolution in self.convolutions:
            normalized = layer_normalize(convolution(grid))
            filled = backend.gelu(ops.cast(normalized, grid.dtype))
            same = grid.shape[-1] == filled.shape[-1]
            grid = grid + filled if same else filled
        patches = ops.reshape(grid, (-1, rows * columns, grid.shape[-1]))
        return self.prediction(patches)

    def fill_grid(self, patches, visible_indices, num_patches, training=None):
        """Puts tokens in their places on the grid, and noise elsewhere.

        Args:
            patches: As in a call, like `visible_indices` and `training`.
            num_patches: Integer. Number of patches in the grid.

        Returns:
            Tensor of shape `(batch, num_patches, hidden_dim)`.
        """
        cells = ops.arange(num_patches, dtype=visible_indices.dtype)
        is_here = ops.cast(visible_indices[..., None] == cells, "int32")
        placed = gather_tokens(patches, ops.argmax(is_here, axis=1))
        hidden = ops.zeros_like(placed)
        if training and self.noise_deviation:
            noise = self.random_state.normal(ops.shape(placed))
            hidden = ops.cast(noise * self.noise_deviation, placed.dtype)
        is_visible = ops.any(is_here > 0, axis=1)[..., None]
        return ops.where(is_visible, placed, hidden)

    def compute_output_spec(
        self, patches, visible_indices, grid_size=None, training=None
    ):
        check_visible_tokens(patches, visible_indices)
        rows, columns = grid_size or self.grid_size
        return keras.KerasTensor(
            (patches.shape[0], rows * columns, self.hidden_dim),
            self.compute_dtype,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "grid_size": self.grid_size,
            "num_layers": self.num_layers,
            "kernel_size": self.kernel_size,
            "num_groups": self.num_groups,
            "noise_deviation": self.noise_deviation,
            "convolution_dim": self.convolution_dim,
            "seed": self.seed,
        }
