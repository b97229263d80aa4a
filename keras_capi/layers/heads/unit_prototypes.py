import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.fan_in_uniform import fan_in_uniform
from keras_capi.ops.normalization import l2_normalize
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class UnitPrototypes(keras.layers.Layer):
    """Scores features by their dot products with prototypes of length 1.

    The optimizer moves the prototypes off the sphere, and `normalize` puts them
    back before the next step. Gradients do not pass through this normalisation,
    unlike in `keras_capi.layers.PrototypeHead`, so that the prototypes move
    differently.

    Args:
        num_prototypes: Integer. Number of prototypes.

    Input shape:
        `(..., width)`, best of length 1, too.

    Output shape:
        `(..., num_prototypes)`, float32.

    Example:

    >>> features = keras.random.normal((2, 6, 32))
    >>> prototypes = keras_capi.layers.UnitPrototypes(10)
    >>> prototypes(features).shape  # (2, 6, 10)
    >>> prototypes.normalize()

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), section 3.1
    """

    def __init__(self, num_prototypes, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("num_prototypes", num_prototypes)
        self.num_prototypes = num_prototypes

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.num_prototypes),
            initializer=fan_in_uniform(input_shape[-1]),
        )

    def normalize(self):
        """Rescales all prototypes to length 1."""
        unit = l2_normalize(ops.transpose(self.kernel), epsilon=1e-12)
        self.kernel.assign(ops.transpose(unit))

    def call(self, inputs):
        scores = backend.matrix_product(
            ops.cast(inputs, self.compute_dtype), self.kernel
        )
        return ops.cast(scores, "float32")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_prototypes)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape), "float32"
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_prototypes": self.num_prototypes,
        }
