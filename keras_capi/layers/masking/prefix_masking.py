import keras

from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.ops.masks.block_masks import uniform_integers


@keras.saving.register_keras_serializable(package="keras_capi")
class PrefixMasking(GridMasking):
    """Draws how many patches of each image are given: AIM's prefix length.

    The length is uniform from one patch to all but one. The remaining patches
    are predicted one by one, in row-major order.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch, such as the images.
        grid_size: Tuple of two integers, if the constructor got none.

    Output shape:
        `{"prefix_length": (batch,)}`, int32.

    Raises:
        ValueError: If there is only one patch.

    Example:

    >>> masking = keras_capi.layers.PrefixMasking((14, 14))
    >>> masking(keras.ops.zeros((2,)))["prefix_length"].shape  # (2,)

    Reference:

    - [AIM](https://arxiv.org/abs/2401.08541), section 3.2 (prefix attention)
    """

    def __init__(self, grid_size=None, seed=None, **kwargs):
        super().__init__(grid_size, seed, **kwargs)
        if self.grid_size is not None:
            self.count_lengths()

    def call(self, inputs, grid_size=None):
        last = self.count_lengths(grid_size)
        uniform = self.draw(inputs, 1)[:, 0]
        return {"prefix_length": 1 + uniform_integers(uniform, last)}

    def count_lengths(self, grid_size=None):
        """Returns the longest prefix, which is also the number of lengths.

        Args:
            grid_size: Tuple of two integers, if the constructor got none.
        """
        rows, columns = self.resolve_grid_size(grid_size)
        if rows * columns < 2:
            raise ValueError(
                "An image must have two patches or more, one to predict. "
                f"Received: grid_size={(rows, columns)}"
            )
        return rows * columns - 1

    def compute_output_spec(self, inputs, grid_size=None):
        self.count_lengths(grid_size)
        return {"prefix_length": keras.KerasTensor(inputs.shape[:1], "int32")}
