import math

import keras
from keras import ops

from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_ratio


@keras.saving.register_keras_serializable(package="keras_capi")
class CellMasking(GridMasking):
    """Hides square cells of patches, uniformly at random: SimMIM's masking.

    A cell of several patches is harder to fill in from neighbouring pixels than
    a single patch, so that a moderate `mask_ratio` is enough.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if the model sets it. Defaults to `None`.
        mask_ratio: Float in (0, 1). Share of the cells that are hidden. Their
            number is `ceil(cells * mask_ratio)`. Defaults to `0.6`.
        cell_size: Integer. Side of a cell in patches. Must divide the rows and
            columns. Defaults to `2`, which is 32 pixels for patches of 16.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.

    Output shape:
        `{"mask": (batch, rows * columns)}`, Boolean, `True` where hidden,
        row-major.

    Raises:
        ValueError: If an argument is out of range, or if `cell_size` does not
            divide the grid.

    Example:

    >>> masking = keras_capi.layers.CellMasking((14, 14))
    >>> masking(keras.ops.zeros((2,)))["mask"].shape  # (2, 196)

    Reference:

    - [SimMIM](https://arxiv.org/abs/2111.09886), section 3.2 (masking strategy)
    """

    def __init__(
        self, grid_size=None, mask_ratio=0.6, cell_size=2, seed=None, **kwargs
    ):
        super().__init__(grid_size, seed, **kwargs)
        check_ratio("mask_ratio", mask_ratio)
        check_positive_integer("cell_size", cell_size)
        self.mask_ratio = mask_ratio
        self.cell_size = cell_size
        if self.grid_size is not None:
            self.count_cells(self.grid_size)

    def count_cells(self, grid_size):
        """Returns the rows and columns of cells, and the number of hidden ones.

        Args:
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            Tuple of three integers.
        """
        if any(size % self.cell_size for size in grid_size):
            raise ValueError(
                "`cell_size` must divide the rows and columns of patches. "
                f"Received: cell_size={self.cell_size}, "
                f"grid_size={tuple(grid_size)}"
            )
        rows, columns = (size // self.cell_size for size in grid_size)
        return rows, columns, math.ceil(rows * columns * self.mask_ratio)

    def call(self, inputs, grid_size=None):
        grid_size = self.resolve_grid_size(grid_size)
        rows, columns, num_hidden = self.count_cells(grid_size)
        uniform = self.draw(inputs, rows * columns)
        # The rank of each cell in the order of its random number.
        ranks = ops.argsort(ops.argsort(uniform, axis=1), axis=1)
        mask = ops.reshape(ranks < num_hidden, (-1, rows, columns))
        for axis in (1, 2):
            mask = ops.repeat(mask, self.cell_size, axis=axis)
        return {"mask": ops.reshape(mask, (-1, grid_size[0] * grid_size[1]))}

    def compute_output_spec(self, inputs, grid_size=None):
        grid_size = self.resolve_grid_size(grid_size)
        self.count_cells(grid_size)
        shape = (inputs.shape[0], grid_size[0] * grid_size[1])
        return {"mask": keras.KerasTensor(shape, "bool")}

    def get_config(self):
        return {
            **super().get_config(),
            "mask_ratio": self.mask_ratio,
            "cell_size": self.cell_size,
        }
