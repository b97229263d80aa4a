import keras
from keras import ops


class LinearProbeGrid(keras.layers.Layer):
    """Many linear classifiers, with stacked weights.

    Args:
        num_probes: Integer.
        num_classes: Integer.
        kernel_initializer: Initializer of the kernels, of shape
            `(num_probes, width, num_classes)`. Biases start at zero.

    Call arguments:
        features: Float tensor of shape `(batch, width)`, the same for all
            probes, or `(batch, num_probes, width)`.

    Output shape:
        `(batch, num_probes, num_classes)`, logits.

    Example:

    >>> probes = LinearProbeGrid(30, num_classes=10, kernel_initializer="zeros")
    >>> probes(keras.random.normal((2, 64))).shape  # (2, 30, 10)
    """

    def __init__(self, num_probes, num_classes, kernel_initializer, **kwargs):
        super().__init__(**kwargs)
        self.num_probes = num_probes
        self.num_classes = num_classes
        self.kernel_initializer = kernel_initializer

    def build(self, features_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.num_probes, features_shape[-1], self.num_classes),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.num_probes, self.num_classes),
            initializer="zeros",
        )

    def call(self, features):
        equation = "bd,pdc->bpc" if len(features.shape) == 2 else "bpd,pdc->bpc"
        return ops.einsum(equation, features, self.kernel) + self.bias
