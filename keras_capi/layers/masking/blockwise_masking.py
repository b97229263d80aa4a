import math

import keras
from keras import ops

from keras_capi.layers.masking.replacement_masking import ReplacementMasking
from keras_capi.ops.masks.blockwise_masks import NUMBERS_PER_ATTEMPT
from keras_capi.ops.masks.blockwise_masks import sample_blockwise
from keras_capi.validation import check_aspect_ratios
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer

# A block takes about half of what is left to hide. In 20,000 masks each, none
# of BEiT's had more than 12 blocks, and none of data2vec's more than 18.
MAX_BLOCKS = 32


@keras.saving.register_keras_serializable(package="keras_capi")
class BlockwiseMasking(ReplacementMasking):
    """Hides several blocks of patches, which may overlap: BEiT's masking.

    Blocks are added until the target share of the patches is hidden. A block
    that would hide too many is drawn again; after `num_attempts` failures the
    mask stays as it is. So a mask never hides more patches than its target, but
    often a few fewer. The middle of an image is hidden more often than its
    border.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        mask_ratio: Float in `[0, 1)`, the share of the patches to hide; or a
            sequence of pairs `(low, high)`: each image draws one of the pairs,
            and then its share between the two. With `((0.0, 0.0), (0.1, 0.5))`
            half of the images have no mask, as in iBOT. BEiT uses `75 / 196`,
            data2vec `120 / 196`. Defaults to `0.4`.
        min_area: Integer or `None`. Smallest area of a block, in patches.
            `None` is the square of a third of the shorter side: 16 in a grid of
            14 x 14. Defaults to `None`.
        max_area: Integer or `None`. Largest area of a block. `None` is whatever
            is left of the share. Defaults to `None`.
        min_aspect_ratio: Float. Lowest aspect ratio of a block, height over
            width. Defaults to `0.3`.
        max_aspect_ratio: Float or `None`. Highest aspect ratio. `None` is `1 /
            min_aspect_ratio`. Defaults to `None`.
        num_attempts: Integer. How often a block that does not fit is drawn
            again. Defaults to `10`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.
            At least two rows and two columns.

    Output shape:
        `{"mask": (batch, rows * columns)}`, Boolean, `True` where hidden.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> masking = keras_capi.layers.BlockwiseMasking((14, 14))
    >>> masking(keras.ops.zeros((2,)))["mask"].shape  # (2, 196)

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.3
    - [iBOT](https://arxiv.org/abs/2111.07832), section 4 (masking)
    """

    def __init__(
        self,
        grid_size=None,
        mask_ratio=0.4,
        min_area=None,
        max_area=None,
        min_aspect_ratio=0.3,
        max_aspect_ratio=None,
        num_attempts=10,
        seed=None,
        **kwargs,
    ):
        super().__init__(grid_size, mask_ratio, seed, **kwargs)
        check_positive_integer("min_area", min_area, or_none=True)
        check_positive_integer("max_area", max_area, or_none=True)
        check_positive_integer("num_attempts", num_attempts)
        check_positive("min_aspect_ratio", min_aspect_ratio)
        if max_aspect_ratio is None:
            max_aspect_ratio = 1 / min_aspect_ratio
        check_aspect_ratios(min_aspect_ratio, max_aspect_ratio)
        self.min_area = min_area
        self.max_area = max_area
        self.min_aspect_ratio = min_aspect_ratio
        self.max_aspect_ratio = max_aspect_ratio
        self.num_attempts = num_attempts
        if self.grid_size is not None:
            self.resolve_grid_size(None)

    def resolve_grid_size(self, grid_size):
        grid_size = super().resolve_grid_size(grid_size)
        # A block never has all rows or all columns, so nothing would be hidden.
        if min(grid_size) < 2:
            raise ValueError(
                "Blocks need two rows and columns of patches or more. "
                f"Received: grid_size={grid_size}"
            )
        if self.min_area and self.min_area > grid_size[0] * grid_size[1]:
            raise ValueError(
                "`min_area` must not exceed the patches of the grid. Received: "
                f"min_area={self.min_area}, grid_size={grid_size}"
            )
        return grid_size

    def count_blocks(self, grid_size):
        """Returns the largest number of blocks of a mask."""
        num_patches = grid_size[0] * grid_size[1]
        max_area = self.find_max_area(grid_size)
        return MAX_BLOCKS + 3 * math.ceil(num_patches / max_area)

    def find_max_area(self, grid_size):
        """Returns the largest area of a block, in patches."""
        return self.max_area or grid_size[0] * grid_size[1]

    def count_numbers(self, grid_size):
        attempts = self.count_blocks(grid_size) * self.num_attempts
        return attempts * NUMBERS_PER_ATTEMPT

    def sample(self, numbers, targets, grid_size):
        shape = (
            -1,
            self.count_blocks(grid_size),
            self.num_attempts,
            NUMBERS_PER_ATTEMPT,
        )
        return sample_blockwise(
            ops.reshape(numbers, shape),
            targets,
            grid_size,
            self.min_area or (min(grid_size) // 3) ** 2,
            self.find_max_area(grid_size),
            (self.min_aspect_ratio, self.max_aspect_ratio),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "min_area": self.min_area,
            "max_area": self.max_area,
            "min_aspect_ratio": self.min_aspect_ratio,
            "max_aspect_ratio": self.max_aspect_ratio,
            "num_attempts": self.num_attempts,
        }
