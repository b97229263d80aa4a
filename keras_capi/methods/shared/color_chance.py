"""What guessing colours by their frequencies comes to."""

import numpy as np
from keras import ops


class ColorChanceMixin:
    """Tells the loss of a model that only knows how frequent colours are."""

    def chance_losses(self, images):
        """Returns the losses of guessing.

        Args:
            images: Float tensor of shape `(batch, height, width, channels)`.

        Returns:
            Dictionary of floats, in nats, by the names of losses.
        """
        token_ids = ops.convert_to_numpy(self.encoder.tokenize(images))
        _, counts = np.unique(token_ids, return_counts=True)
        shares = counts / counts.sum()
        return {"color_loss": float(-np.sum(shares * np.log(shares)))}
