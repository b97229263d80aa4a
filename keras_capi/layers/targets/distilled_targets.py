import keras

from keras_capi.layers.heads.dino_head import DINOHead
from keras_capi.layers.targets.centering import Centering
from keras_capi.layers.targets.patch_targets import PatchTargets
from keras_capi.ops.losses.cross_entropy import entropy
from keras_capi.ops.tokens import gather_tokens
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


@keras.saving.register_keras_serializable(package="keras_capi")
class DistilledTargets(PatchTargets):
    """The output of the teacher's head as targets, as in iBOT.

    One of CAPI's ablations, used in place of `OnlineClustering`. Student and
    teacher have the same kind of head, an MLP and prototypes; the teacher's is
    the moving average of the student's. Clusters are thus not learnt from the
    features, as in CAPI, but result from the prediction itself. Subtracting a
    running mean of the scores prevents collapse.

    Args:
        num_clusters: Integer. Number of prototypes of the head. Defaults to
            `16384`.
        temperature: Float. Divides the teacher's centered scores. Defaults to
            `0.06`, as in CAPI.
        center_momentum: Float in `[0, 1]`, see `keras_capi.layers.Centering`.
            Defaults to `0.9`.
        num_layers: Integer. Number of linear layers of the head's MLP. Defaults
            to `3`.
        hidden_dim: Integer. Width of its hidden layers. Defaults to `2048`.
        bottleneck_dim: Integer. Width of its output. Defaults to `256`.

    Call arguments:
        scores: Float tensor of shape `(..., num_clusters)`.
        training: Boolean. Whether to update the center.

    Output shape:
        As the scores: probabilities, in float32.

    Example:

    >>> targets = keras_capi.layers.DistilledTargets(num_clusters=10)
    >>> probabilities = targets(keras.random.normal((4, 10)), training=True)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), table 1 (loss)
    - [iBOT](https://arxiv.org/abs/2111.07832), section 3
    """

    def __init__(
        self,
        num_clusters=16384,
        temperature=0.06,
        center_momentum=0.9,
        num_layers=3,
        hidden_dim=2048,
        bottleneck_dim=256,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # The center is kept in float32.
        self.autocast = False
        sizes = {
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
            "bottleneck_dim": bottleneck_dim,
        }
        for name, value in {"num_clusters": num_clusters, **sizes}.items():
            check_positive_integer(name, value)
        check_number("center_momentum", center_momentum, "[0, 1]")
        self.num_clusters = num_clusters
        self.head_sizes = sizes
        self.centering = Centering(
            temperature,
            center_momentum,
            dtype=self.dtype_policy,
            name="centering",
        )

    def build(self, scores_shape):
        # The shape may also be that of the features, before they are scored.
        self.centering.build((None, self.num_clusters))

    def call(self, scores, training=None):
        return self.centering(scores, training=training)

    def make_targets(self, patches, predict_indices, score, training=None):
        scores = score(gather_tokens(patches, predict_indices))
        targets = self(scores, training=training)
        return targets, {"target_entropy": entropy(targets)}

    def make_head(self, encoder_dim, predictor_dim, **kwargs):
        if encoder_dim != predictor_dim:
            raise ValueError(
                "`predictor_hidden_dim` must be `hidden_dim`, as one head is "
                "for features of both. Received: "
                f"predictor_hidden_dim={predictor_dim}, "
                f"hidden_dim={encoder_dim}"
            )
        return DINOHead(self.num_clusters, **self.head_sizes, **kwargs)

    def compute_output_spec(self, scores, training=None):
        return self.centering.compute_output_spec(scores)

    def get_config(self):
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "temperature": self.centering.temperature,
            "center_momentum": self.centering.momentum,
            **self.head_sizes,
        }
