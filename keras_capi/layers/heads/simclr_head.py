import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.norms.batch_normalization import BatchNormalization
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class SimCLRHead(keras.layers.Layer):
    """Projects features by an MLP with batch normalisation.

    It stands between the features and a contrastive loss, so that the features
    may keep what differs between views. Each layer is linear without bias,
    followed by batch normalisation over all devices. Hidden layers keep the
    width and end with ReLU; the last one has neither ReLU nor offset.

    Args:
        output_dim: Integer. Width of the projections. Defaults to `128`.
        num_layers: Integer. Number of linear layers. The first version of
            SimCLR has two. Defaults to `3`.
        momentum: Float in `[0, 1]`. Momentum of the moving statistics: the
            share that an update keeps. Defaults to `0.9`.

    Call arguments:
        inputs: Float tensor of shape `(..., width)`.
        training: Boolean. Whether to normalise by the statistics of the batch
            instead of the moving ones.

    Output shape:
        `(..., output_dim)`, in the compute dtype.

    Example:

    >>> features = keras.random.normal((4, 2, 32))
    >>> head = keras_capi.layers.SimCLRHead(16)
    >>> head(features, training=True).shape  # (4, 2, 16)

    Reference:

    - [SimCLR](https://arxiv.org/abs/2002.05709), section 4.2
    - [SimCLRv2](https://arxiv.org/abs/2006.10029), section 2 (three layers)
    """

    def __init__(self, output_dim=128, num_layers=3, momentum=0.9, **kwargs):
        # If a `keras.RematScope` recomputed it, the statistics would move
        # twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive_integer("output_dim", output_dim)
        check_positive_integer("num_layers", num_layers)
        check_number("momentum", momentum, "[0, 1]")
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.momentum = momentum

    def build(self, input_shape):
        width = input_shape[-1]
        self.layers, self.norms = [], []
        for number in range(1, self.num_layers + 1):
            is_last = number == self.num_layers
            layer = Dense(
                self.output_dim if is_last else width,
                use_bias=False,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
                dtype=self.dtype_policy,
                name=f"layer_{number}",
            )
            layer.build((None, width))
            norm = BatchNormalization(
                self.momentum,
                center=not is_last,
                dtype=self.dtype_policy,
                name=f"norm_{number}",
            )
            norm.build((None, layer.units))
            self.layers.append(layer)
            self.norms.append(norm)

    def call(self, inputs, training=None):
        shape = ops.shape(inputs)
        x = ops.reshape(inputs, (-1, shape[-1]))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            if layer is not self.layers[0]:
                x = ops.relu(x)
            x = norm(layer(x), training=training)
        return ops.reshape(x, (*shape[:-1], self.output_dim))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "num_layers": self.num_layers,
            "momentum": self.momentum,
        }
