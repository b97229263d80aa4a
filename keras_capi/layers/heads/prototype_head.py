import keras
from keras import ops

from keras_capi import backend
from keras_capi.ops.normalization import l2_normalize
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class PrototypeHead(keras.layers.Layer):
    """Scores features against learnt prototypes, one for each cluster.

    L2-normalises the features, then applies a linear layer without bias. As in
    weight normalisation, the kernel of each prototype is a gain times a
    direction: `kernel = gain * direction / (norm(direction) + 1e-8)`.

    Args:
        num_prototypes: Integer. Number of prototypes.
        trainable_gain: Boolean. Whether the gains are trained, as published.
            Defaults to `True`.
        direction_initializer: Initializer of the directions. `None` is normal
            with a standard deviation of 0.02. The shorter they start, the
            faster they turn. Defaults to `None`.

    Input shape:
        `(..., width)`.

    Output shape:
        `(..., num_prototypes)`: cosine similarities times gains, float32.

    Example:

    >>> features = keras.random.normal((2, 6, 32))
    >>> keras_capi.layers.PrototypeHead(10)(features).shape  # (2, 6, 10)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.2
    - [Salimans and Kingma, 2016](https://arxiv.org/abs/1602.07868)
    """

    def __init__(
        self,
        num_prototypes,
        trainable_gain=True,
        direction_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_integer("num_prototypes", num_prototypes)
        self.num_prototypes = num_prototypes
        self.trainable_gain = trainable_gain
        if direction_initializer is None:
            direction_initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.direction_initializer = keras.initializers.get(
            direction_initializer
        )

    def build(self, input_shape):
        # Both are normalised in float32, before the cast for the product.
        self.direction = self.add_weight(
            name="direction",
            shape=(input_shape[-1], self.num_prototypes),
            initializer=self.direction_initializer,
            autocast=False,
        )
        self.gain = self.add_weight(
            name="gain",
            shape=(self.num_prototypes,),
            initializer="ones",
            trainable=self.trainable_gain,
            autocast=False,
        )

    def call(self, inputs):
        features = l2_normalize(inputs, epsilon=1e-12)
        direction = ops.cast(self.direction, "float32")
        squared_norm = ops.sum(ops.square(direction), axis=0)
        kernel = direction * (self.gain / (ops.sqrt(squared_norm) + 1e-8))
        logits = backend.matrix_product(
            ops.cast(features, self.compute_dtype),
            ops.cast(kernel, self.compute_dtype),
        )
        return ops.cast(logits, "float32")

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
            "trainable_gain": self.trainable_gain,
            "direction_initializer": keras.initializers.serialize(
                self.direction_initializer
            ),
        }
