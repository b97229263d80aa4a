import keras
from keras import ops

from keras_capi.layers.add_state import add_state
from keras_capi.layers.targets.score_targets import ScoreTargets
from keras_capi.layers.targets.score_targets import as_rows
from keras_capi.ops.collectives import all_reduce_sum
from keras_capi.validation import check_number


@keras.saving.register_keras_serializable(package="keras_capi")
class Centering(ScoreTargets):
    """Turns a teacher's scores into targets that do not collapse.

    Subtracting the center, a running mean of the scores, keeps one prototype
    from winning for all images. A low temperature sharpens the result, so that
    the targets do not become uniform. The center is updated after its use, in
    training only, with the scores of all devices.

    Args:
        temperature: Float. Divides the centered scores. `assign_temperature`
            changes it. Defaults to `0.04`.
        momentum: Float in `[0, 1]`. Momentum of the center: the higher, the
            slower it moves. Defaults to `0.9`.

    Call arguments:
        scores: Float tensor of shape `(..., num_prototypes)`.
        valid: Optional Boolean tensor of shape `(...,)`: `True` for scores that
            update the center, `False` for padding.
        training: Boolean. Whether to update the center.

    Output shape:
        As the scores: probabilities, in float32.

    Example:

    >>> centering = keras_capi.layers.Centering()
    >>> targets = centering(keras.random.normal((4, 10)), training=True)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), section 3.1 (avoiding collapse)
    """

    def __init__(self, temperature=0.04, momentum=0.9, **kwargs):
        super().__init__(temperature, **kwargs)
        check_number("momentum", momentum, "[0, 1]")
        # TensorFlow does not multiply float32 by NumPy's floats, of 64 bits.
        self.momentum = float(momentum)

    def build(self, scores_shape):
        # Added first, as in the files of earlier versions.
        self.center = add_state(self, "center", scores_shape[-1:])
        super().build(scores_shape)

    def call(self, scores, valid=None, training=None):
        scores = ops.cast(ops.stop_gradient(scores), "float32")
        centered = scores - self.center
        targets = ops.softmax(centered / self.current_temperature, axis=-1)
        if training:
            self._move(*as_rows(scores, valid))
        return targets

    def _move(self, scores, valid):
        count = ops.cast(ops.shape(scores)[0], "float32")
        if valid is not None:
            scores = ops.where(valid[:, None], scores, 0.0)
            count = ops.sum(ops.cast(valid, "float32"))
        count = all_reduce_sum(count)
        mean = all_reduce_sum(ops.sum(scores, axis=0)) / ops.maximum(count, 1.0)
        # Without valid scores the center stays as it is.
        share = ops.where(count > 0.0, 1.0 - self.momentum, 0.0)
        self.center.assign((1.0 - share) * self.center + share * mean)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}
