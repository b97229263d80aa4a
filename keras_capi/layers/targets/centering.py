import keras
from keras import ops

from keras_capi.ops.collectives import all_reduce_sum
from keras_capi.validation import check_number
from keras_capi.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_capi")
class Centering(keras.layers.Layer):
    """Turns a teacher's scores into targets that do not collapse.

    A running mean of the scores, the center, is subtracted, so that no
    prototype wins for all images; a low temperature sharpens what is left, so
    that not all are equal. The center moves after its use, in training alone,
    by the scores of all devices.

    Args:
        temperature: Float. Divides the centered scores. It can be set by
            `assign_temperature`. Defaults to `0.04`.
        momentum: Float in `[0, 1]`. How slowly the center moves. Defaults to
            `0.9`.

    Call arguments:
        scores: Float tensor of shape `(..., num_prototypes)`.
        training: Boolean. Whether the center moves.

    Output shape:
        As the scores: probabilities, in float32.

    Example:

    >>> centering = keras_capi.layers.Centering()
    >>> targets = centering(keras.random.normal((4, 10)), training=True)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), section 3.1 (avoiding collapse)
    """

    def __init__(self, temperature=0.04, momentum=0.9, **kwargs):
        # Recomputed under a `keras.RematScope`, the center would move twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive("temperature", temperature)
        check_number("momentum", momentum, "[0, 1]")
        self.temperature = temperature
        self.momentum = momentum
        self.autocast = False

    def build(self, scores_shape):
        self.center = self._add_state(
            "center", scores_shape[-1:], keras.initializers.Zeros()
        )
        self.current_temperature = self._add_state(
            "current_temperature",
            (),
            keras.initializers.Constant(self.temperature),
        )

    def _add_state(self, name, shape, initializer):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            dtype="float32",
            trainable=False,
            autocast=False,
        )

    def assign_temperature(self, temperature):
        """Sets the temperature of the coming calls.

        Args:
            temperature: Float scalar tensor.
        """
        self.current_temperature.assign(temperature)

    def call(self, scores, training=None):
        scores = ops.cast(ops.stop_gradient(scores), "float32")
        centered = scores - self.center
        targets = ops.softmax(centered / self.current_temperature, axis=-1)
        if training:
            self._move(ops.reshape(scores, (-1, scores.shape[-1])))
        return targets

    def _move(self, scores):
        count = ops.cast(ops.shape(scores)[0], "float32")
        mean = all_reduce_sum(ops.sum(scores, axis=0)) / all_reduce_sum(count)
        self.center.assign(
            self.momentum * self.center + (1.0 - self.momentum) * mean
        )

    def compute_output_spec(self, scores, training=None):
        return keras.KerasTensor(scores.shape, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "momentum": self.momentum,
        }
