import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.blocks.attention import Attention
from keras_capi.ops.positions.rotary import apply_rotary
from keras_capi.ops.positions.rotary import rotary_angles
from keras_capi.ops.positions.rotary import rotary_frequencies


@keras.saving.register_keras_serializable(package="keras_capi")
class RotaryAttention(Attention):
    """Multi-head attention with two-dimensional rotary positions.

    Queries and keys are rotated by angles that depend on the positions of their
    tokens, so that attention sees relative positions, at any image size and
    without a position table. Without `context` the tokens attend to each other
    (self-attention); with it they attend to the tokens of the context
    (cross-attention). The first call or `build` decides which.

    No projection has a bias. The frequencies are a weight, `rotary_frequencies`
    of shape `(2, head_dim)`. It is frozen unless `trains_frequencies` is set,
    which `keras_capi.models.CAPI` does if the optimizer has a learning rate for
    it.

    Args:
        num_heads: Integer. Number of attention heads. Must divide the width of
            the inputs, and the size of a head must be divisible by 4.
        kernel_initializer: As for `keras_capi.layers.Attention`. Defaults to
            `None`.
        attention_dropout_rate: As for `keras_capi.layers.Attention`. Defaults
            to `0.0`.
        seed: Integer or `None`. Seed of the dropout. Defaults to `None`.
        causal: As for `keras_capi.layers.Attention`. Defaults to `False`.

    Call arguments:
        inputs: Float tensor of shape `(batch, tokens, width)`.
        coordinates: Float tensor of shape `(batch or 1, tokens, 2)`: row and
            column of each token in `[0, 1]`.
        context: Optional float tensor of shape `(batch, others, any width)`.
        context_coordinates: Coordinates of the tokens of `context`.
        attention_bias: As for `keras_capi.layers.Attention`.
        attention_mask: As for `keras_capi.layers.Attention`.
        attention_dropout_sample: Likewise.
        training: Likewise.

    Output shape:
        `(batch, tokens, width)`.

    Raises:
        ValueError: If the width is not divisible by `num_heads`, or the size of
            a head is not divisible by 4.

    Example:

    >>> tokens = keras.random.normal((2, 6, 32))
    >>> coordinates = keras_capi.ops.patch_coordinates((2, 3))[None]
    >>> attention = keras_capi.layers.RotaryAttention(num_heads=4)
    >>> attention(tokens, coordinates).shape  # (2, 6, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """

    def __init__(
        self,
        num_heads,
        kernel_initializer=None,
        attention_dropout_rate=0.0,
        seed=None,
        causal=False,
        **kwargs,
    ):
        super().__init__(
            num_heads,
            use_bias=False,
            kernel_initializer=kernel_initializer,
            attention_dropout_rate=attention_dropout_rate,
            seed=seed,
            causal=causal,
            **kwargs,
        )
        self._trains_frequencies = False

    def build(
        self,
        inputs_shape,
        coordinates_shape=None,
        context_shape=None,
        context_coordinates_shape=None,
    ):
        super().build(inputs_shape, context_shape)
        if self.head_dim % 4:
            raise ValueError(
                "The head size, width / `num_heads`, must be divisible by 4. "
                f"Received: num_heads={self.num_heads}, "
                f"width={inputs_shape[-1]}, head size {self.head_dim}"
            )
        self.rotary_frequencies = self.add_weight(
            name="rotary_frequencies",
            shape=(2, self.head_dim),
            initializer=lambda shape, dtype: ops.convert_to_tensor(
                rotary_frequencies(self.head_dim), dtype
            ),
            autocast=False,
        )
        self._update_frequencies()

    @property
    def trainable(self):
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, value)
        if self.built:
            # Freezing and unfreezing the layer must not make them trainable.
            self._update_frequencies()

    @property
    def trains_frequencies(self):
        """Whether the rotary frequencies are trained. `False` by default."""
        return self._trains_frequencies

    @trains_frequencies.setter
    def trains_frequencies(self, value):
        self._trains_frequencies = value
        if self.built:
            self._update_frequencies()

    def _update_frequencies(self):
        trains = self.trainable and self.trains_frequencies
        self.rotary_frequencies.trainable = trains

    def call(
        self,
        inputs,
        coordinates,
        context=None,
        context_coordinates=None,
        attention_bias=None,
        attention_mask=None,
        attention_dropout_sample=None,
        training=None,
    ):
        return self._attend(
            self._project(inputs, coordinates, context, context_coordinates),
            attention_bias,
            attention_mask,
            attention_dropout_sample,
            training,
        )

    def attention_weights(
        self,
        inputs,
        coordinates,
        context=None,
        context_coordinates=None,
        attention_bias=None,
        attention_mask=None,
    ):
        """Returns the attention weights: how much tokens attend to each other.

        For inspection. Takes the arguments of a call and applies no dropout. A
        call without dropout never holds this array in memory.

        Returns:
            Float32 tensor of shape `(batch, num_heads, tokens, others)`, whose
            sums over the last axis are 1.
        """
        projected = self._project(
            inputs, coordinates, context, context_coordinates
        )
        return self._weights(projected, attention_bias, attention_mask)

    def _project(self, inputs, coordinates, context, context_coordinates):
        for name, given, positions in (
            ("coordinates", inputs, coordinates),
            ("context_coordinates", context, context_coordinates),
        ):
            if given is not None and positions is None:
                raise ValueError(
                    f"Rotary attention needs `{name}`. Received: {name}=None"
                )
        *query, fused = self._project_together(inputs, context)
        count = self.num_heads
        frequencies = self.rotary_frequencies
        if not frequencies.trainable:
            # TensorFlow would compute gradients of what is frozen, too.
            frequencies = ops.stop_gradient(frequencies)
        angles = rotary_angles(coordinates, frequencies)
        if not query:
            # Queries and keys rotate by the same angles, so they rotate
            # together.
            turning, value = backend.split(fused, (2 * count, count), 2)
            turned = apply_rotary(turning, *angles)
            return *backend.split(turned, (count, count), 2), value
        context_angles = rotary_angles(context_coordinates, frequencies)
        key, value = backend.split(fused, (count, count), 2)
        return (
            apply_rotary(query[0], *angles),
            apply_rotary(key, *context_angles),
            value,
        )

    def get_config(self):
        config = super().get_config()
        del config["use_bias"], config["use_key_bias"]
        return config
