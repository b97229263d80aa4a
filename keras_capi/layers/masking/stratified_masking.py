import keras
import numpy as np
from keras import ops

from keras_capi.layers.masking.blockwise_masking import BlockwiseMasking
from keras_capi.validation import check_number


@keras.saving.register_keras_serializable(package="keras_capi")
class StratifiedMasking(BlockwiseMasking):
    """Hides blocks in a fixed share of each batch: DINOv2's masking.

    The mask ratios are stratified: the range is split into as many equal parts
    as there are masks in the batch, and each mask draws its ratio from another
    part. Batches are thus alike, and the number of hidden patches in a batch
    has a tight upper bound, see `count_hidden_in_batch`. The masks consist of
    blocks, as in `keras_capi.layers.BlockwiseMasking`.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        mask_ratio: Pair of floats in `[0, 1)`, the range of the share of
            patches that are hidden in an image with a mask. Defaults to `(0.1,
            0.5)`.
        masked_share: Float in `[0, 1]`. Share of the images that have a mask.
            Defaults to `0.5`.
        min_area: Integer or `None`. Smallest area of a block, in patches.
            Defaults to `4`.
        max_area: Integer or `None`. Largest area of a block. `None` is half of
            the grid. Defaults to `None`.
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

    >>> masking = keras_capi.layers.StratifiedMasking((14, 14))
    >>> masking(keras.ops.zeros((4,)))["mask"].shape  # (4, 196), two not empty

    Reference:

    - [DINOv2](https://arxiv.org/abs/2304.07193), section 4 and its code
    """

    def __init__(
        self,
        grid_size=None,
        mask_ratio=(0.1, 0.5),
        masked_share=0.5,
        min_area=4,
        max_area=None,
        min_aspect_ratio=0.3,
        max_aspect_ratio=None,
        num_attempts=10,
        seed=None,
        **kwargs,
    ):
        if not isinstance(mask_ratio, list | tuple):
            raise ValueError(
                "`mask_ratio` must be a pair `(low, high)`. "
                f"Received: mask_ratio={mask_ratio!r}"
            )
        super().__init__(
            grid_size,
            (mask_ratio,),
            min_area,
            max_area,
            min_aspect_ratio,
            max_aspect_ratio,
            num_attempts,
            seed,
            **kwargs,
        )
        check_number("masked_share", masked_share, "[0, 1]")
        self.masked_share = masked_share

    def find_max_area(self, grid_size):
        return self.max_area or grid_size[0] * grid_size[1] / 2

    def count_masked(self, batch_size):
        """Returns the number of images in a batch that have a mask.

        Args:
            batch_size: Integer or integer scalar tensor.
        """
        if isinstance(batch_size, int):
            return int(batch_size * self.masked_share)
        # In float64, to round as the line above does.
        count = ops.cast(batch_size, "float64") * self.masked_share
        return ops.cast(count, "int32")

    def count_hidden_in_batch(self, batch_size, grid_size):
        num_masked = self.count_masked(batch_size)
        low, high = self.mask_ratio[0]
        num_patches = grid_size[0] * grid_size[1]
        if isinstance(batch_size, int):
            ends = _upper_ends(low, high, num_masked)
            sizes = np.floor(ends * np.float32(num_patches))
            return max(int(sizes.sum()), 1)
        # Equal up to rounding, for an unknown batch size.
        count = ops.cast(num_masked, "float32")
        ends = count * low + (high - low) * (count + 1.0) / 2.0
        return ops.cast(ops.ceil(ends * num_patches), "int32") + 1

    def draw_targets(self, uniform, num_patches):
        batch_size = ops.shape(uniform)[0]
        num_masked = ops.cast(self.count_masked(batch_size), "float32")
        # A random order of the images, of which the first get masks.
        rank = ops.argsort(ops.argsort(uniform[:, 0]))
        rank = ops.cast(rank, "float32")
        low, high = self.mask_ratio[0]
        place = (rank + uniform[:, 1]) / ops.maximum(num_masked, 1.0)
        targets = ops.floor((low + (high - low) * place) * num_patches)
        return ops.where(rank < num_masked, targets, 0.0)

    def get_config(self):
        return {
            **super().get_config(),
            "mask_ratio": self.mask_ratio[0],
            "masked_share": self.masked_share,
        }


def _upper_ends(low, high, count):
    """The upper ends of equal parts of a range, rounded as in torch.

    Where an end times the number of patches is an integer up to rounding, the
    authors' counts depend on it.
    """
    low, high = np.float32(low), np.float32(high)
    step = np.float64((high - low) / np.float32(max(count, 1)))
    numbers = np.arange(1, count + 1)
    ends = np.where(
        numbers < (count + 1) // 2,
        low + step * numbers,
        high - step * (count - numbers),
    )
    return ends.astype("float32")
