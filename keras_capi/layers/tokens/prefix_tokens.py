import keras
from keras import ops

from keras_capi.layers.blocks.new_initializer import new_initializer
from keras_capi.validation import check_non_negative_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class PrefixTokens(keras.layers.Layer):
    """Prepends a learnt class token and learnt registers.

    The class token describes the image as a whole. Registers give a transformer
    room for information that belongs to no patch. Unlike those of
    `keras_capi.layers.RegisterTokens` they have no positions.

    Args:
        class_token: Boolean. Whether to prepend a class token. Defaults to
            `True`.
        num_registers: Integer. Number of registers, between class token and
            patches. Defaults to `0`.
        initializer: Initializer of all these tokens. `None` is normal with a
            standard deviation of 0.02. Defaults to `None`.

    Call arguments:
        tokens: Float tensor of shape `(batch, tokens, width)`.
        class_position: Optional float tensor of shape `(1, width)`, added to
            the class token.

    Output shape:
        `(batch, prefix + tokens, width)`, where `prefix` is
        `class_token + num_registers`.

    Example:

    >>> layer = keras_capi.layers.PrefixTokens(num_registers=4)
    >>> layer(keras.random.normal((2, 6, 32))).shape  # (2, 11, 32)

    Reference:

    - [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929)
    - [Darcet et al., 2023](https://arxiv.org/abs/2309.16588)
    """

    def __init__(
        self, class_token=True, num_registers=0, initializer=None, **kwargs
    ):
        super().__init__(**kwargs)
        check_non_negative_integer("num_registers", num_registers)
        self.has_class_token = bool(class_token)
        self.num_registers = num_registers
        self.initializer = keras.initializers.get(initializer)

    @property
    def num_tokens(self):
        """The number of prepended tokens."""
        return self.has_class_token + self.num_registers

    def build(self, tokens_shape, class_position_shape=None):
        self.class_token = self.registers = None
        if self.has_class_token:
            self.class_token = self._add("class_token", 1, tokens_shape[-1])
        if self.num_registers:
            self.registers = self._add(
                "registers", self.num_registers, tokens_shape[-1]
            )

    def _add(self, name, count, width):
        return self.add_weight(
            name=name,
            shape=(count, width),
            initializer=new_initializer(
                self.initializer, keras.initializers.RandomNormal(stddev=0.02)
            ),
        )

    def call(self, tokens, class_position=None):
        prefix = []
        if self.class_token is not None:
            class_token = ops.convert_to_tensor(self.class_token)
            if class_position is not None:
                class_token = class_token + class_position
            prefix.append(class_token)
        if self.registers is not None:
            prefix.append(ops.convert_to_tensor(self.registers))
        batch_size = ops.shape(tokens)[0]
        prefix = [
            ops.broadcast_to(ops.cast(x, tokens.dtype), (batch_size, *x.shape))
            for x in prefix
        ]
        return ops.concatenate([*prefix, tokens], axis=1)

    def compute_output_shape(self, tokens_shape, class_position_shape=None):
        batch_size, count, width = tokens_shape
        if count is not None:
            count += self.num_tokens
        return (batch_size, count, width)

    def get_config(self):
        return {
            **super().get_config(),
            "class_token": self.has_class_token,
            "num_registers": self.num_registers,
            "initializer": keras.initializers.serialize(self.initializer),
        }
