import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.random_state import RandomState
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer

# Of 4096 numbers, 0.01 as the standard deviation of the weights.
SCALE = 0.64**2


@keras.saving.register_keras_serializable(package="keras_capi")
class AlexNetHead(keras.layers.Layer):
    """AlexNet's fully connected layers, without the last activation.

    Two linear layers with dropout before each and a ReLU in between.
    `keras_capi.methods.DeepClusterV1` clusters the output as it is, and
    classifies it after another ReLU.

    Args:
        hidden_dim: Integer. Width of the first layer. Defaults to `4096`.
        output_dim: Integer. Width of the second one. Defaults to `4096`.
        dropout_rate: Float in `[0, 1)`. Defaults to `0.5`.
        seed: Integer or `None`. Seed of the dropout. Defaults to `None`.

    Call arguments:
        inputs: Float tensor of shape `(..., width)`.
        training: Boolean. Whether dropout is active.

    Output shape:
        `(..., output_dim)`.

    Example:

    >>> features = keras.random.normal((2, 32))
    >>> head = keras_capi.layers.AlexNetHead(hidden_dim=64, output_dim=16)
    >>> head(features).shape  # (2, 16)

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520), section 3.4
    """

    def __init__(
        self,
        hidden_dim=4096,
        output_dim=4096,
        dropout_rate=0.5,
        seed=None,
        **kwargs,
    ):
        # Rematerialisation would drop other features in the backward pass.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive_integer("hidden_dim", hidden_dim)
        check_positive_integer("output_dim", output_dim)
        check_number("dropout_rate", dropout_rate, "[0, 1)")
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim
        self.dropout_rate = dropout_rate
        self.seed = seed
        self.random_state = RandomState(seed)
        self.hidden, self.output_layer = (
            Dense(
                width,
                kernel_initializer=keras.initializers.VarianceScaling(
                    SCALE, distribution="untruncated_normal"
                ),
                dtype=self.dtype_policy,
                name=name,
            )
            for name, width in (
                ("hidden", hidden_dim),
                ("output_layer", output_dim),
            )
        )

    def build(self, input_shape):
        self.hidden.build((None, input_shape[-1]))
        self.output_layer.build((None, self.hidden_dim))

    def call(self, inputs, training=None):
        x = self._drop(inputs, training)
        x = ops.relu(self.hidden(x))
        return self.output_layer(self._drop(x, training))

    def _drop(self, inputs, training):
        if not training or not self.dropout_rate:
            return inputs
        # Keras's `Dropout` does not save the state of its random numbers.
        numbers = self.random_state.uniform(ops.shape(inputs))
        kept = ops.cast(numbers >= self.dropout_rate, inputs.dtype)
        return inputs * kept / (1.0 - self.dropout_rate)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "output_dim": self.output_dim,
            "dropout_rate": self.dropout_rate,
            "seed": self.seed,
        }
