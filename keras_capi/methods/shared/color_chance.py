"""The loss of guessing colours by their frequencies."""

import numpy as np
from keras import ops


class ColorChanceMixin:
    """Computes the loss of a model that only knows colour frequencies."""

    def chance_losses(self, images):
        """Returns the losses of guessing.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Dictionary from the names of losses to floats, in nats.
        """
        token_ids = ops.convert_to_numpy(self.encoder.tokenize(images))
        _, counts = np.unique(token_ids, return_counts=True)
        shares = counts / counts.sum()
        return {"color_loss": float(-np.sum(shares * np.log(shares)))}
