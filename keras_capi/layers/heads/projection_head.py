import keras

from keras_capi import backend
from keras_capi.layers.blocks.dense import Dense
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class ProjectionHead(keras.layers.Layer):
    """Projects features by an MLP with exact GELU between its layers.

    It stands between the features and the loss, so that the features may keep
    what does not matter to the loss.

    Args:
        num_layers: Integer. Number of linear layers of the MLP. Defaults to
            `3`.
        hidden_dim: Integer. Width of its hidden layers. Defaults to `2048`.
        bottleneck_dim: Integer. Width of its output. Defaults to `256`.

    Input shape:
        `(..., width)`.

    Output shape:
        `(..., bottleneck_dim)`.

    Example:

    >>> features = keras.random.normal((2, 32))
    >>> head = keras_capi.layers.ProjectionHead(2, 64, 16)
    >>> head(features).shape  # (2, 16)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), appendix C
    - [CAPI](https://arxiv.org/abs/2502.08769), table 1 (loss)
    """

    def __init__(
        self, num_layers=3, hidden_dim=2048, bottleneck_dim=256, **kwargs
    ):
        super().__init__(**kwargs)
        for name, value in (
            ("num_layers", num_layers),
            ("hidden_dim", hidden_dim),
            ("bottleneck_dim", bottleneck_dim),
        ):
            check_positive_integer(name, value)
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.bottleneck_dim = bottleneck_dim
        self.layers = [
            Dense(
                bottleneck_dim if number == num_layers else hidden_dim,
                # The authors truncate at the values -2 and 2, not at two
                # standard deviations.
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
                dtype=self.dtype_policy,
                name=f"layer_{number}",
            )
            for number in range(1, num_layers + 1)
        ]

    def build(self, input_shape):
        width = input_shape[-1]
        for layer in self.layers:
            layer.build((None, width))
            width = layer.units

    def call(self, inputs):
        return self.project(inputs)

    def project(self, inputs):
        """Applies the MLP to features.

        Args:
            inputs: Float tensor of shape `(..., width)`.

        Returns:
            Tensor of shape `(..., bottleneck_dim)`.
        """
        x = inputs
        for layer in self.layers[:-1]:
            x = backend.gelu(layer(x))
        return self.layers[-1](x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.bottleneck_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
            "bottleneck_dim": self.bottleneck_dim,
        }
