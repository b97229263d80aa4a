import keras

from keras_capi.layers.heads.prototype_head import PrototypeHead
from keras_capi.ops.losses.cross_entropy import soft_cross_entropy


class PatchTargets(keras.layers.Layer):
    """Base of what `keras_capi.methods.CAPI` predicts of hidden patches.

    A subclass makes targets of a teacher's features in `make_targets`. As they
    are here, head and loss are for targets that are distributions over
    `num_clusters` clusters.

    `loss_weights` has the factors of losses of its own.

    Args:
        **kwargs: Arguments of every layer.
    """

    loss_weights: dict[str, float] = {}
    num_clusters: int | None = None

    def __init__(self, **kwargs):
        # The signature that documentation shows.
        super().__init__(**kwargs)

    def make_targets(self, patches, predict_indices, score, training=None):
        """Returns the targets of some patches.

        Args:
            patches: Float tensor of shape `(batch, patches, width)`: what a
                teacher makes of all patches, without a gradient.
            predict_indices: Integer tensor of shape `(batch, predictions)`:
                whose targets are needed.
            score: Function from features of the teacher to what its own head
                makes of them.
            training: Boolean.

        Returns:
            A tuple: a tensor of shape `(batch, predictions, ...)`, and a
            dictionary of scalars, own losses and what else to log.
        """
        raise NotImplementedError

    def make_head(self, encoder_dim, predictor_dim, **kwargs):
        """Returns the layer from predicted features to what is compared.

        Args:
            encoder_dim: Integer. Width of the teacher's features.
            predictor_dim: Integer. Width of the predicted ones.
            **kwargs: Arguments of every layer.
        """
        return PrototypeHead(self.num_clusters, **kwargs)

    def compare(self, targets, outputs, temperature):
        """Returns the loss of the prediction, a scalar.

        Args:
            targets: As `make_targets` returns them.
            outputs: Tensor of the same shape, from the student's head.
            temperature: Float. Divides scores.
        """
        return soft_cross_entropy(targets, outputs, temperature)
