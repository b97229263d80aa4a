import keras
from keras import ops

from keras_capi.ops.positions.coordinates import register_coordinates
from keras_capi.ops.positions.coordinates import scale_to_bounding_box


@keras.saving.register_keras_serializable(package="keras_capi")
class RegisterTokens(keras.layers.Layer):
    """Prepends learnt register tokens, which have coordinates.

    Registers give a transformer room for information that belongs to no patch,
    and so keep the patch features clean. In CAPI the predictor attends to them,
    too, and they have positions along the edge of the visible part of the
    image.

    Args:
        num_registers: Integer, divisible by 4. Number of registers. `0` adds
            none. Defaults to `16`.
        coordinates: `"edge"` spaces the registers along the edge of the image,
            `"zeros"` puts them all at the origin. Defaults to `"edge"`.
        scale_to_visible: Boolean. Whether to scale the coordinates to the
            bounding box of the visible patches. Defaults to `True`.

    Call arguments:
        tokens: Float tensor of shape `(batch, tokens, width)`.
        coordinates: Float tensor of shape `(batch or 1, tokens, 2)`: row and
            column of each token in `[0, 1]`.

    Output shape:
        A tuple: tokens of shape `(batch, num_registers + tokens, width)` and
        coordinates of shape `(batch or 1, num_registers + tokens, 2)`.

    Raises:
        ValueError: If `num_registers` is not divisible by 4 or `coordinates` is
            unknown.

    Example:

    >>> tokens = keras.random.normal((2, 6, 32))
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> layer = keras_capi.layers.RegisterTokens(4)
    >>> tokens, coordinates = layer(tokens, coordinates)
    >>> tokens.shape, coordinates.shape  # (2, 10, 32), (1, 10, 2)

    Reference:

    - [Darcet et al., 2023](https://arxiv.org/abs/2309.16588)
    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(
        self,
        num_registers=16,
        coordinates="edge",
        scale_to_visible=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Half precision is too coarse for coordinates.
        self.autocast = False
        self.register_coordinates = register_coordinates(
            num_registers, coordinates
        )
        self.num_registers = num_registers
        self.coordinates = coordinates
        self.scale_to_visible = scale_to_visible

    def build(self, tokens_shape, coordinates_shape=None):
        self.registers = self.add_weight(
            name="registers",
            shape=(self.num_registers, tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            # On TensorFlow several optimizers of Keras fail on empty weights.
            trainable=self.num_registers > 0,
        )

    def call(self, tokens, coordinates):
        tokens = ops.cast(tokens, self.compute_dtype)
        registers = ops.broadcast_to(
            ops.cast(self.registers, self.compute_dtype),
            (ops.shape(tokens)[0], *self.registers.shape),
        )
        return (
            ops.concatenate([registers, tokens], axis=1),
            self.add_coordinates(coordinates),
        )

    def add_coordinates(self, coordinates):
        """Prepends the coordinates of the registers.

        Args:
            coordinates: Float tensor of shape `(batch or 1, tokens, 2)`.

        Returns:
            Float32 tensor of shape `(batch or 1, num_registers + tokens, 2)`.
        """
        coordinates = ops.cast(coordinates, "float32")
        if not self.num_registers:
            return coordinates
        own = ops.convert_to_tensor(self.register_coordinates)
        if self.scale_to_visible:
            own = scale_to_bounding_box(own, coordinates)
        else:
            own = ops.broadcast_to(own, (ops.shape(coordinates)[0], *own.shape))
        return ops.concatenate([own, coordinates], axis=1)

    def compute_output_shape(self, tokens_shape, coordinates_shape=None):
        return tuple(
            (batch, None if count is None else count + self.num_registers, dim)
            for batch, count, dim in filter(
                None, (tokens_shape, coordinates_shape)
            )
        )

    def compute_output_spec(self, tokens, coordinates):
        shapes = self.compute_output_shape(tokens.shape, coordinates.shape)
        return (
            keras.KerasTensor(shapes[0], self.compute_dtype),
            keras.KerasTensor(shapes[1], "float32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_registers": self.num_registers,
            "coordinates": self.coordinates,
            "scale_to_visible": self.scale_to_visible,
        }
