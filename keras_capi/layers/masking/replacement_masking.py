import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.ops.masks.block_masks import uniform_integers
from keras_capi.validation import check_number

# Far below one patch, and far above the rounding errors of shares.
ROUNDING = 1e-3


class ReplacementMasking(GridMasking):
    """Base class of maskings for methods that replace hidden patches.

    As all patches go through the encoder, masks may differ in size. A subclass
    implements `sample`; `count_numbers` returns how many random numbers that
    takes.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        mask_ratio: Float in `[0, 1)`, the share of the patches to hide; or a
            sequence of pairs `(low, high)`: each image draws one of the pairs,
            and then its share between the two. Defaults to `0.4`.
        seed: Integer or `None`. Defaults to `None`.
    """

    def __init__(self, grid_size=None, mask_ratio=0.4, seed=None, **kwargs):
        super().__init__(grid_size, seed, **kwargs)
        self.mask_ratio = _check_mask_ratio(mask_ratio)

    @property
    def _bounds(self):
        if isinstance(self.mask_ratio, tuple):
            return self.mask_ratio
        return ((self.mask_ratio, self.mask_ratio),)

    # There is another block while some mask still lacks patches.
    @backend.computed_on_host
    def call(self, inputs, grid_size=None):
        grid_size = self.resolve_grid_size(grid_size)
        uniform = self.draw(inputs, 2 + self.count_numbers(grid_size))
        num_patches = grid_size[0] * grid_size[1]
        targets = self.draw_targets(uniform[:, :2], num_patches)
        return {"mask": self.sample(uniform[:, 2:], targets, grid_size)}

    def draw_targets(self, uniform, num_patches):
        """Turns random numbers into how many patches of each image to hide.

        Args:
            uniform: Float tensor of shape `(batch, 2)`, uniform in `[0, 1)`.
            num_patches: Integer. Number of patches of an image.

        Returns:
            Float tensor of shape `(batch,)`, see `sample`.
        """
        low, high = np.array(self._bounds, "float32").T
        pair = uniform_integers(uniform[:, 0], len(low))
        low, high = (ops.take(ends, pair, axis=0) for ends in (low, high))
        ratios = low + uniform[:, 1] * (high - low)
        # A share such as 75 / 196 has to give 75 patches.
        targets = ratios * num_patches + ROUNDING
        return ops.where(ratios > 0.0, targets, 0.0)

    def count_hidden_in_batch(self, batch_size, grid_size):
        """Returns the largest number of hidden patches in a batch.

        Args:
            batch_size: Integer or integer scalar tensor.
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            Integer or integer scalar tensor, as `batch_size`.
        """
        return batch_size * self.count_hidden(grid_size)

    def count_hidden(self, grid_size):
        """Returns the largest number of patches that a mask hides.

        Args:
            grid_size: Tuple of two integers.
        """
        highest = max(high for _, high in self._bounds)
        return int(highest * grid_size[0] * grid_size[1] + ROUNDING)

    def count_numbers(self, grid_size):
        """Returns how many random numbers `sample` takes for each image."""
        raise NotImplementedError

    def sample(self, numbers, targets, grid_size):
        """Turns random numbers into masks.

        Args:
            numbers: Float tensor of shape `(batch, count)`, uniform in
                `[0, 1)`.
            targets: Float tensor of shape `(batch,)`: how many patches of each
                image to hide, plus the tolerance `ROUNDING`.
            grid_size: Tuple of two integers.

        Returns:
            Boolean tensor of shape `(batch, patches)`.
        """
        raise NotImplementedError

    def compute_output_spec(self, inputs, grid_size=None):
        rows, columns = self.resolve_grid_size(grid_size)
        shape = (inputs.shape[0], rows * columns)
        return {"mask": keras.KerasTensor(shape, "bool")}

    def get_config(self):
        return {**super().get_config(), "mask_ratio": self.mask_ratio}


def _check_mask_ratio(value):
    """Returns the ratio, or pairs of bounds as tuples, or raises."""
    if not isinstance(value, list | tuple):
        check_number("mask_ratio", value, "[0, 1)")
        return value
    pairs = tuple(
        tuple(pair) if isinstance(pair, list | tuple) else () for pair in value
    )
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            "`mask_ratio` must be a number, or a sequence of pairs "
            f"`(low, high)`. Received: mask_ratio={value!r}"
        )
    for low, high in pairs:
        for bound in (low, high):
            check_number("mask_ratio", bound, "[0, 1)")
        if low > high:
            raise ValueError(
                "The pairs of `mask_ratio` must have `low <= high`. "
                f"Received: mask_ratio={value!r}"
            )
    return pairs
