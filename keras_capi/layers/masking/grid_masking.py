import keras
from keras import ops

from keras_capi.layers.random_state import RandomState
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_seed


class GridMasking(keras.layers.Layer):
    """Base class of layers that draw masks for a grid of patches.

    It holds the grid and draws the random numbers of a call. Subclasses turn
    them into masks.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        seed: Integer or `None`. Defaults to `None`.
    """

    def __init__(self, grid_size=None, seed=None, **kwargs):
        # Rematerialisation would draw different masks in the backward pass.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        # Outputs are indices, and the input only tells the batch size.
        self.autocast = False
        check_seed("seed", seed)
        self.seed = seed
        self.random_state = RandomState(seed)
        self.grid_size = None
        if grid_size is not None:
            self.grid_size = check_grid_size(grid_size)
        self.built = True

    def draw(self, inputs, count):
        """Draws uniform numbers in `[0, 1)` for each image.

        Args:
            inputs: Any tensor whose first axis is the batch.
            count: Integer. Numbers for each image.

        Returns:
            Float32 tensor of shape `(batch, count)`.
        """
        return self.random_state.uniform((ops.shape(inputs)[0], count))

    def resolve_grid_size(self, grid_size):
        """Returns the grid of a call, or that of the constructor."""
        if grid_size is None:
            grid_size = self.grid_size
        if grid_size is None:
            raise ValueError(
                "`grid_size` must be given to the constructor or to the call. "
                "Received: grid_size=None"
            )
        grid_size = check_grid_size(grid_size)
        if self.grid_size is not None and grid_size != self.grid_size:
            raise ValueError(
                "The masking was made for another grid of patches; with "
                "`grid_size=None` it takes any. Received: "
                f"grid_size={grid_size}, expected {self.grid_size}"
            )
        return grid_size

    def get_config(self):
        return {
            **super().get_config(),
            "grid_size": self.grid_size,
            "seed": self.seed,
        }
