import keras
from keras import ops

from keras_capi.layers.add_state import add_state
from keras_capi.validation import check_positive


class ScoreTargets(keras.layers.Layer):
    """Base class of layers that turn a teacher's scores into targets.

    It holds the temperature that divides the scores, which may change between
    updates. A subclass implements `call`, such that the targets do not
    collapse.

    Args:
        temperature: Float. Divides the scores. `assign_temperature` changes it.
            Defaults to `0.04`.

    Call arguments:
        scores: Float tensor of shape `(..., num_prototypes)`.
        valid: Optional Boolean tensor of shape `(...,)`: `False` for padding,
            whose targets have no meaning.
        training: Boolean. Whether this is a training step.

    Output shape:
        As the scores: probabilities, in float32.
    """

    def __init__(self, temperature=0.04, **kwargs):
        # If a `keras.RematScope` recomputed it, a state would be updated twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        check_positive("temperature", temperature)
        self.temperature = temperature
        self.autocast = False

    def build(self, scores_shape):
        self.current_temperature = add_state(
            self,
            "current_temperature",
            (),
            initializer=keras.initializers.Constant(self.temperature),
        )

    def assign_temperature(self, temperature):
        """Sets the temperature for the following calls.

        Args:
            temperature: Float scalar tensor.
        """
        self.current_temperature.assign(temperature)

    def call(self, scores, valid=None, training=None):
        raise NotImplementedError

    def choose(self, scores):
        """Assigns scores to the prototypes, for each sample by itself.

        For health metrics: balancing over a batch would hide a collapse.

        Args:
            scores: Float tensor of shape `(batch, num_prototypes)`.

        Returns:
            Float32 tensor of the same shape: probabilities.
        """
        scores = ops.cast(scores, "float32")
        center = getattr(self, "center", None)
        if center is None:
            # The common part of all scores is what balancing would remove.
            center = ops.mean(scores, axis=0)
        return ops.softmax((scores - center) / self.current_temperature)

    def compute_output_spec(self, scores, valid=None, training=None):
        return keras.KerasTensor(scores.shape, "float32")

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def as_rows(scores, valid):
    """Flattens scores to `(samples, num_prototypes)`, and their mask.

    Args:
        scores: Float tensor of shape `(..., num_prototypes)`.
        valid: Boolean tensor of shape `(...,)`, or `None` for all.

    Returns:
        Tuple: a float32 tensor without gradient, and a Boolean one of shape
        `(samples,)`, or `None`.
    """
    scores = ops.cast(ops.stop_gradient(scores), "float32")
    rows = ops.reshape(scores, (-1, scores.shape[-1]))
    return rows, None if valid is None else ops.reshape(valid, (-1,))
