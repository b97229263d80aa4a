import keras
from keras import ops

from keras_capi.layers.masking.patch_masking import PatchMasking
from keras_capi.ops.masks.block_masks import NUMBERS_PER_BLOCK
from keras_capi.ops.masks.block_masks import sample_blocks
from keras_capi.ops.masks.block_masks import select_patches
from keras_capi.validation import check_aspect_ratios
from keras_capi.validation import check_positive


@keras.saving.register_keras_serializable(package="keras_capi")
class BlockMasking(PatchMasking):
    """Hides one block of patches.

    The block has a random shape and position.
    `keras_capi.layers.InverseBlockMasking` does the opposite, and leads to
    better features.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if the model sets it. Defaults to `None`.
        mask_ratio: Float in (0, 1). Share of the patches that are hidden.
            Defaults to `0.65`.
        prediction_ratio: Float in (0, 1]. Share of the hidden patches that are
            predicted. Defaults to `0.05`.
        min_aspect_ratio: Float. Lowest aspect ratio of the block, height over
            width. Defaults to `0.5`.
        max_aspect_ratio: Float or `None`. Highest aspect ratio. `None` is `1 /
            min_aspect_ratio`. Defaults to `None`.
        roll: Boolean. Whether to roll the grid cyclically by random offsets, so
            that all positions are equally likely. Defaults to `True`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.

    Output shape:
        `{"visible_indices": (batch, num_visible), "predict_indices": (batch,
        num_predict)}`, int32, row-major patches.

    Raises:
        ValueError: If a ratio is out of range or no patch is left to predict.

    Example:

    >>> masking = keras_capi.layers.BlockMasking((14, 14))
    >>> masking(keras.ops.zeros((2,)))["visible_indices"].shape  # (2, 69)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.3 (masking)
    """

    numbers_per_image = NUMBERS_PER_BLOCK

    def __init__(
        self,
        grid_size=None,
        mask_ratio=0.65,
        prediction_ratio=0.05,
        min_aspect_ratio=0.5,
        max_aspect_ratio=None,
        roll=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            grid_size, mask_ratio, prediction_ratio, seed, **kwargs
        )
        check_positive("min_aspect_ratio", min_aspect_ratio)
        if max_aspect_ratio is None:
            max_aspect_ratio = 1 / min_aspect_ratio
        check_aspect_ratios(min_aspect_ratio, max_aspect_ratio)
        self.min_aspect_ratio = min_aspect_ratio
        self.max_aspect_ratio = max_aspect_ratio
        self.roll = roll

    def select_indices(self, numbers, scores, grid_size):
        num_visible, num_predict = self.count_patches(grid_size)
        num_masked = grid_size[0] * grid_size[1] - num_visible
        is_masked = self.sample_blocks(numbers, num_masked, grid_size)
        return select_patches(
            ops.logical_not(is_masked), scores, num_visible, num_predict
        )

    def sample_blocks(self, numbers, area, grid_size):
        """Samples one block for each image, see `ops.sample_blocks`."""
        return sample_blocks(
            numbers,
            area,
            grid_size,
            self.min_aspect_ratio,
            self.max_aspect_ratio,
            self.roll,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "min_aspect_ratio": self.min_aspect_ratio,
            "max_aspect_ratio": self.max_aspect_ratio,
            "roll": self.roll,
        }
