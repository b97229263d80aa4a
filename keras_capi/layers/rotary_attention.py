import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.dense import Dense
from keras_capi.ops.rotary import apply_rotary
from keras_capi.ops.rotary import rotary_angles
from keras_capi.ops.rotary import rotary_frequencies
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class RotaryAttention(keras.layers.Layer):
    """Multi-head attention with two-dimensional rotary positions.

    Queries and keys are turned by angles that depend on where their tokens are,
    so that attention sees relative positions, at any image size and without a
    position table. Without `context` the tokens attend to each other
    (self-attention), with it they attend to other tokens (cross-attention); the
    first call or `build` decides which.

    No projection has a bias. The frequencies are a weight,
    `rotary_frequencies` of shape `(2, head_dim)`, fixed unless
    `trains_frequencies` is set: `keras_capi.models.CAPI` does so if the
    optimizer has a learning rate for it.

    Args:
        num_heads: Integer. Number of attention heads. Must divide the width of
            the inputs into heads whose size is divisible by 4.

    Call arguments:
        inputs: Float tensor of shape `(batch, tokens, width)`.
        coordinates: Float tensor of shape `(batch or 1, tokens, 2)`: row and
            column of each token in `[0, 1]`.
        context: Optional float tensor of shape `(batch, others, any width)`.
        context_coordinates: Coordinates of the tokens of `context`.

    Output shape:
        `(batch, tokens, width)`.

    Raises:
        ValueError: If the width is not divisible by `num_heads`, or the size of
            a head not by 4.

    Example:

    >>> tokens = keras.random.normal((2, 6, 32))
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> attention = keras_capi.layers.RotaryAttention(num_heads=4)
    >>> attention(tokens, coordinates).shape  # (2, 6, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(self, num_heads, **kwargs):
        super().__init__(**kwargs)
        # Half precision is too coarse for coordinates.
        self.autocast = False
        check_positive_integer("num_heads", num_heads)
        self.num_heads = num_heads
        self._trains_frequencies = False

    def build(
        self,
        inputs_shape,
        coordinates_shape=None,
        context_shape=None,
        context_coordinates_shape=None,
    ):
        width = inputs_shape[-1]
        if width % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the width of the tokens. "
                f"Received: num_heads={self.num_heads}, width={width}"
            )
        self.head_dim = width // self.num_heads
        if self.head_dim % 4:
            raise ValueError(
                "The head size, width / `num_heads`, must be divisible by 4. "
                f"Received: num_heads={self.num_heads}, width={width}, "
                f"head size {self.head_dim}"
            )
        self.rotary_frequencies = self.add_weight(
            name="rotary_frequencies",
            shape=(2, self.head_dim),
            initializer=lambda shape, dtype: ops.convert_to_tensor(
                rotary_frequencies(self.head_dim), dtype
            ),
            autocast=False,
        )
        self.rotary_frequencies.trainable = False
        self.is_self_attention = context_shape is None
        if self.is_self_attention:
            self.query_key_value = self._add_projection(
                "query_key_value", width, (width,) * 3
            )
        else:
            self.query = self._add_projection("query", width, (width,))
            self.key_value = self._add_projection(
                "key_value", context_shape[-1], (width,) * 2
            )
        self.output_projection = self._add_projection(
            "output_projection", width, (width,)
        )

    def _add_projection(self, name, input_dim, output_dims):
        # Projections of the same input are fused for speed; each part keeps the
        # Glorot bound that it would have alone.
        total = sum(output_dims)
        scale = (input_dim + total) / (input_dim + output_dims[0])
        dense = Dense(
            total,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                scale=scale, mode="fan_avg", distribution="uniform"
            ),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build((None, None, input_dim))
        return dense

    @property
    def trainable(self):
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, value)
        if self.built:
            # What freezes and unfreezes the rest must not train them.
            self._update_frequencies()

    @property
    def trains_frequencies(self):
        """Whether the rotary frequencies train along; by default not."""
        return self._trains_frequencies

    @trains_frequencies.setter
    def trains_frequencies(self, value):
        self._trains_frequencies = value
        self._update_frequencies()

    def _update_frequencies(self):
        trains = self.trainable and self.trains_frequencies
        self.rotary_frequencies.trainable = trains

    @property
    def projections(self):
        """The `keras.layers.Dense` layers, once built."""
        if self.is_self_attention:
            return [self.query_key_value, self.output_projection]
        return [self.query, self.key_value, self.output_projection]

    def call(self, inputs, coordinates, context=None, context_coordinates=None):
        query, key, value = self._project(
            inputs, coordinates, context, context_coordinates
        )
        attended = backend.dot_product_attention(query, key, value)
        batch_size, num_tokens = ops.shape(inputs)[:2]
        attended = ops.reshape(
            attended, (batch_size, num_tokens, self.num_heads * self.head_dim)
        )
        return self.output_projection(attended)

    def attention_weights(
        self, inputs, coordinates, context=None, context_coordinates=None
    ):
        """Returns how much each token attends to each other one.

        To look at; takes the arguments of a call, which never makes this array.

        Returns:
            Float32 tensor of shape `(batch, num_heads, tokens, others)`, whose
            sums over the last axis are 1.
        """
        query, key, _ = self._project(
            inputs, coordinates, context, context_coordinates
        )
        scores = ops.einsum(
            "bqhd,bkhd->bhqk", *(ops.cast(x, "float32") for x in (query, key))
        )
        return ops.softmax(scores / self.head_dim**0.5, axis=-1)

    def _project(self, inputs, coordinates, context, context_coordinates):
        if self.is_self_attention != (context is None):
            raise ValueError(
                "A `RotaryAttention` is built for self-attention or for "
                "cross-attention (with `context`) and cannot change. Received: "
                f"context={context}"
            )
        angles = rotary_angles(coordinates, self.rotary_frequencies)
        if context is None:
            return self._project_together(inputs, angles)
        query = self._split_heads(self.query(inputs))
        key_value = self._split_heads(self.key_value(context))
        context_angles = rotary_angles(
            context_coordinates, self.rotary_frequencies
        )
        return (
            apply_rotary(query, *angles),
            apply_rotary(key_value[:, :, : self.num_heads], *context_angles),
            key_value[:, :, self.num_heads :],
        )

    def _project_together(self, inputs, angles):
        heads = self._split_heads(self.query_key_value(inputs))
        # Queries and keys turn by the same angles, so they turn together.
        count = self.num_heads
        query_key = apply_rotary(heads[:, :, : 2 * count], *angles)
        return (
            query_key[:, :, :count],
            query_key[:, :, count:],
            heads[:, :, 2 * count :],
        )

    def _split_heads(self, projected):
        batch_size, num_tokens, width = ops.shape(projected)
        return ops.reshape(
            projected,
            (batch_size, num_tokens, width // self.head_dim, self.head_dim),
        )

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}
