import keras

from keras_capi.layers.fan_in_uniform import fan_in_uniform
from keras_capi.layers.heads.projection_head import ProjectionHead
from keras_capi.layers.heads.prototype_head import PrototypeHead
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class DINOHead(ProjectionHead):
    """Projects features, then scores them against learnt prototypes.

    An MLP with exact GELU between its layers leads to a narrow bottleneck, and
    a `PrototypeHead` scores its output. Self-distillation compares the scores
    of student and teacher; after pretraining the head is discarded.

    Args:
        num_prototypes: Integer. Number of prototypes. Defaults to `65536`.
        num_layers: Integer. Number of linear layers of the MLP. Defaults to
            `3`.
        hidden_dim: Integer. Width of its hidden layers. Defaults to `2048`.
        bottleneck_dim: Integer. Width of its output. Defaults to `256`.
        trainable_gain: Boolean. Whether the gains of the prototypes are
            trained. Among the published models those with small encoders train
            them, the others keep them at 1. Defaults to `False`.

    Input shape:
        `(..., width)`.

    Output shape:
        `(..., num_prototypes)`: cosine similarities times gains, float32.

    Example:

    >>> features = keras.random.normal((2, 32))
    >>> head = keras_capi.layers.DINOHead(10, hidden_dim=64, bottleneck_dim=16)
    >>> head(features).shape  # (2, 10)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), section 3.1 and appendix C
    """

    def __init__(
        self,
        num_prototypes=65536,
        num_layers=3,
        hidden_dim=2048,
        bottleneck_dim=256,
        trainable_gain=False,
        **kwargs,
    ):
        super().__init__(num_layers, hidden_dim, bottleneck_dim, **kwargs)
        check_positive_integer("num_prototypes", num_prototypes)
        self.prototypes = PrototypeHead(
            num_prototypes,
            trainable_gain,
            fan_in_uniform(bottleneck_dim),
            dtype=self.dtype_policy,
            name="prototypes",
        )

    def build(self, input_shape):
        super().build(input_shape)
        self.prototypes.build((None, self.bottleneck_dim))

    def call(self, inputs):
        return self.prototypes(self.project(inputs))

    def compute_output_shape(self, input_shape):
        return self.prototypes.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs):
        return self.prototypes.compute_output_spec(inputs)

    def get_config(self):
        return {
            **super().get_config(),
            "num_prototypes": self.prototypes.num_prototypes,
            "trainable_gain": self.prototypes.trainable_gain,
        }
