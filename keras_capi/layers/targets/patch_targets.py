import keras

from keras_capi.layers.heads.prototype_head import PrototypeHead
from keras_capi.ops.losses.cross_entropy import soft_cross_entropy


class PatchTargets(keras.layers.Layer):
    """Base class of the targets that `keras_capi.methods.CAPI` predicts.

    A subclass turns a teacher's features into targets in `make_targets`. By
    default, head and loss are for targets that are distributions over
    `num_clusters` clusters.

    `loss_weights` maps the names of its own losses to their weights.

    Args:
        **kwargs: Arguments of every layer.
    """

    loss_weights: dict[str, float] = {}
    num_clusters: int | None = None

    def __init__(self, **kwargs):
        # A `keras.RematScope` is meant for the blocks, see `RotaryViT`. A state
        # of the targets would be updated twice.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)

    def make_targets(self, patches, predict_indices, score, training=None):
        """Returns the targets for some patches.

        Args:
            patches: Float tensor of shape `(batch, patches, width)`: the
                teacher's features of all patches, without a gradient.
            predict_indices: Integer tensor of shape `(batch, predictions)`: the
                patches whose targets are needed.
            score: Function that maps features of the teacher to the output of
                its own head.
            training: Boolean.

        Returns:
            Tuple: a tensor of shape `(batch, predictions, ...)`, and a
            dictionary of scalars, with losses of its own and whatever else to
            log.
        """
        raise NotImplementedError

    def make_head(self, encoder_dim, predictor_dim, **kwargs):
        """Returns the head, which maps predicted features to outputs.

        Args:
            encoder_dim: Integer. Width of the teacher's features.
            predictor_dim: Integer. Width of the predicted features.
            **kwargs: Arguments of every layer.
        """
        return PrototypeHead(self.num_clusters, **kwargs)

    def compare(self, targets, outputs, temperature):
        """Returns the loss of the predictions, a scalar.

        Args:
            targets: As `make_targets` returns them.
            outputs: Tensor of the same shape, from the student's head.
            temperature: Float. Divides the student's scores.
        """
        return soft_cross_entropy(targets, outputs, temperature)
