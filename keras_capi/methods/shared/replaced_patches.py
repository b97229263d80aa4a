from keras_capi.methods.inputs.replaced_inputs import check_replaced_inputs
from keras_capi.methods.inputs.replaced_inputs import prepare_replaced
from keras_capi.training.pretraining import Pretraining
from keras_capi.training.vectors import list_vectors


class ReplacedPatches(Pretraining):
    """Base of the methods whose encoder sees a mask token for hidden patches.

    A subclass has an `encoder`, a `masking` and a `mask_token`
    (`keras_capi.layers.MaskToken`); its losses are computed from what
    `encode_replaced` returns.
    """

    def check_inputs(self, inputs):
        check_replaced_inputs(self.encoder, inputs)

    def prepare(self, inputs, training):
        return prepare_replaced(self.encoder, self.masking, inputs)

    def encode_replaced(self, images, mask, training=None):
        """Returns the features of all patches, some of which are hidden.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.
            mask: Boolean tensor of shape `(batch, patches)`, true where hidden.
            training: Boolean. Whether to apply stochastic depth.

        Returns:
            Tensor of shape `(batch, patches, hidden_dim)`.
        """
        tokens, positions = self.encoder.embed(images)
        tokens = self.mask_token(tokens, mask)
        encoded = self.encoder.encode(tokens, positions, training=training)
        return encoded["patches"]

    def parameter_groups(self):
        # The mask token and the tables of relative positions do decay.
        return {
            "undecayed": [
                *list_vectors(self.trainable_variables),
                *self.encoder.list_tokens(),
            ]
        }

    def list_unused_parts(self):
        return self.encoder.list_unused_parts(uses_global=False)
