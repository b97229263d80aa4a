import keras
from keras import ops

from keras_capi.layers.targets.score_targets import ScoreTargets
from keras_capi.layers.targets.score_targets import as_rows
from keras_capi.ops.clustering.sinkhorn import NO_EPSILON
from keras_capi.ops.clustering.sinkhorn import sinkhorn_knopp
from keras_capi.validation import check_positive_integer

# The score of padding, which gives no share to any prototype.
NOTHING = -1e30


@keras.saving.register_keras_serializable(package="keras_capi")
class SinkhornCentering(ScoreTargets):
    """Turns a teacher's scores into targets that use all prototypes equally.

    The Sinkhorn-Knopp algorithm balances the scores of the batch of all
    devices. Unlike `keras_capi.layers.Centering` it has no memory of earlier
    batches, and so batches must not be small.

    Args:
        temperature: Float. Divides the scores. `assign_temperature` changes it.
            Defaults to `0.04`.
        num_iterations: Integer. Number of Sinkhorn-Knopp iterations. Defaults
            to `3`.

    Call arguments:
        scores: Float tensor of shape `(..., num_prototypes)`.
        valid: Optional Boolean tensor of shape `(...,)`: `True` for scores to
            balance, `False` for padding.
        training: Boolean. Not used.

    Output shape:
        As the scores: probabilities, in float32.

    Example:

    >>> centering = keras_capi.layers.SinkhornCentering()
    >>> targets = centering(keras.random.normal((4, 10)))

    Reference:

    - [SwAV](https://arxiv.org/abs/2006.09882), section 3.1
    - [DINOv2](https://arxiv.org/abs/2304.07193), section 4 (Sinkhorn-Knopp
      centering)
    """

    def __init__(self, temperature=0.04, num_iterations=3, **kwargs):
        super().__init__(temperature, **kwargs)
        check_positive_integer("num_iterations", num_iterations)
        self.num_iterations = num_iterations

    def call(self, scores, valid=None, training=None):
        rows, valid = as_rows(scores, valid)
        rows = rows / self.current_temperature
        if valid is not None:
            rows = ops.where(valid[:, None], rows, NOTHING)
        targets = sinkhorn_knopp(
            rows, self.num_iterations, NO_EPSILON, across_replicas=True
        )
        return ops.reshape(targets, ops.shape(scores))

    def get_config(self):
        return {**super().get_config(), "num_iterations": self.num_iterations}
