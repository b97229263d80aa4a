import keras
from keras import ops

from keras_capi.layers.blocks.dense import Dense
from keras_capi.layers.targets.patch_targets import PatchTargets
from keras_capi.ops.feature_deviation import feature_deviation
from keras_capi.ops.losses.smooth_l1 import smooth_l1
from keras_capi.ops.normalization import layer_normalize
from keras_capi.ops.tokens import gather_tokens
from keras_capi.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_capi")
class LatentTargets(PatchTargets):
    """The teacher's features themselves as targets, as in I-JEPA.

    One of CAPI's ablations, used in place of `OnlineClustering`. Each feature
    vector is normalised by its own mean and deviation, a linear layer after the
    predictor predicts it, and the loss is smooth L1. There are no clusters, and
    only the slowness of the teacher prevents collapse: watch
    `target_deviation`, which is near 1 as long as the features differ.

    Args:
        beta: Float. The error from which the loss grows linearly instead of
            quadratically. Defaults to `1.0`.

    Call arguments:
        inputs: The teacher's patch features, of shape `(batch, patches,
            width)`.
        predict_indices: Integer tensor of shape `(batch, predictions)`.

    Output shape:
        `(batch, predictions, width)`, float32.

    Example:

    >>> features = keras.random.normal((8, 6, 32))
    >>> indices = np.zeros((8, 2), "int32")
    >>> keras_capi.layers.LatentTargets()(features, indices).shape  # (8, 2, 32)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), table 1 (loss)
    - [I-JEPA](https://arxiv.org/abs/2301.08243), section 3
    """

    def __init__(self, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        check_positive("beta", beta)
        self.beta = beta

    def call(self, inputs, predict_indices):
        features = ops.stop_gradient(gather_tokens(inputs, predict_indices))
        return layer_normalize(features)

    def make_targets(self, patches, predict_indices, score, training=None):
        targets = self(patches, predict_indices)
        return targets, {"target_deviation": feature_deviation(targets)}

    def make_head(self, encoder_dim, predictor_dim, **kwargs):
        return Dense(encoder_dim, **kwargs)

    def compare(self, targets, outputs, temperature):
        return ops.mean(smooth_l1(targets, outputs, self.beta))

    def compute_output_spec(self, inputs, predict_indices):
        shape = (*predict_indices.shape[:2], inputs.shape[-1])
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}
