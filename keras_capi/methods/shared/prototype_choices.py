"""Which prototypes a network without a teacher chooses."""

from keras import ops


class PrototypeChoicesMixin:
    """Tells of images which prototypes are nearest, for measures of health."""

    def predict_choices(self, images):
        """Shares images out to the prototypes, each by itself.

        Without balancing, which would hide a collapse.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Float32 tensor of shape `(batch, num_prototypes)`, which sums to 1;
            of several clusterings the first.
        """
        layer = self.prototypes
        if isinstance(layer, list | tuple):
            layer = layer[0]
        features = self.encoder(images, training=False)["global"]
        scores = layer(self.head(features, training=False))
        temperature = getattr(self, "epsilon", self.temperature)
        return ops.softmax(ops.cast(scores, "float32") / temperature, axis=-1)
