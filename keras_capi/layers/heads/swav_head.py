import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.fan_in_uniform import fan_in_uniform
from keras_capi.layers.norms.batch_normalization import BatchNormalization
from keras_capi.ops.normalization import l2_normalize
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class SwAVHead(keras.layers.Layer):
    """Projects features to vectors of length 1, for clustering.

    A linear layer, batch normalisation, ReLU and another linear layer. The
    batch statistics cover everything that a call gets, on all devices: best
    pass all views of a batch in one call.

    Args:
        hidden_dim: Integer. Width of the hidden layer. 0 leaves a single linear
            layer. Defaults to `2048`.
        output_dim: Integer. Width of the output. Defaults to `128`.

    Call arguments:
        inputs: Float tensor of shape `(..., width)`.
        training: Boolean. Whether to normalise by the statistics of the batch
            instead of the moving ones.

    Output shape:
        `(..., output_dim)`, in float32.

    Example:

    >>> features = keras.random.normal((4, 8, 32))
    >>> head = keras_capi.layers.SwAVHead(hidden_dim=64, output_dim=16)
    >>> head(features, training=True).shape  # (4, 8, 16)

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), appendix A (implementation)
    """

    def __init__(self, hidden_dim=2048, output_dim=128, **kwargs):
        # If a `keras.RematScope` recomputed it, the statistics would move
        # twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_non_negative_integer("hidden_dim", hidden_dim)
        check_positive_integer("output_dim", output_dim)
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim

    def build(self, input_shape):
        width = input_shape[-1]
        self.hidden = self.normalization = None
        if self.hidden_dim:
            self.hidden = self._make_linear("hidden", width, self.hidden_dim)
            self.normalization = BatchNormalization(
                unbiased=True, dtype=self.dtype_policy, name="normalization"
            )
            width = self.hidden_dim
            self.normalization.build((None, width))
        self.output_layer = self._make_linear(
            "output_layer", width, self.output_dim
        )

    def _make_linear(self, name, width, units):
        layer = Dense(
            units,
            kernel_initializer=fan_in_uniform(width),
            bias_initializer=fan_in_uniform(width),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, width))
        return layer

    def call(self, inputs, training=None):
        shape = ops.shape(inputs)
        x = ops.reshape(inputs, (-1, shape[-1]))
        if self.hidden is not None:
            x = self.normalization(self.hidden(x), training=training)
            x = ops.relu(x)
        x = l2_normalize(self.output_layer(x), epsilon=1e-12)
        return ops.reshape(x, (*shape[:-1], self.output_dim))

    def compute_output_spec(self, inputs, training=None):
        shape = (*inputs.shape[:-1], self.output_dim)
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "output_dim": self.output_dim,
        }
