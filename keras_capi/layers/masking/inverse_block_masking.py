import keras

from keras_capi.layers.masking.block_masking import BlockMasking
from keras_capi.ops.masks.block_masks import select_patches


@keras.saving.register_keras_serializable(package="keras_capi")
class InverseBlockMasking(BlockMasking):
    """Hides all but one block of patches: CAPI's masking.

    The visible patches are connected, and most hidden ones are too far away to
    be filled in from neighbouring pixels, so that the model has to learn what
    the image shows. Rolling makes all positions equally likely; without it the
    middle would be visible more often than the border.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if the model sets it. Defaults to `None`.
        mask_ratio: Float in (0, 1). Share of the patches that are hidden.
            Defaults to `0.65`.
        prediction_ratio: Float in (0, 1]. Share of the hidden patches that are
            predicted. The authors later advised about 0.2. Defaults to `0.05`.
        min_aspect_ratio: Float. Lowest aspect ratio of the visible block,
            height over width. Defaults to `0.5`.
        max_aspect_ratio: Float or `None`. Highest aspect ratio. `None` is `1 /
            min_aspect_ratio`. Defaults to `None`.
        roll: Boolean. Whether to roll the grid cyclically by random offsets.
            Defaults to `True`.
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

    >>> masking = keras_capi.layers.InverseBlockMasking((14, 14))
    >>> masking(keras.ops.zeros((2,)))["predict_indices"].shape  # (2, 6)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.3 (masking)
    """

    def select_indices(self, numbers, scores, grid_size):
        num_visible, num_predict = self.count_patches(grid_size)
        is_visible = self.sample_blocks(numbers, num_visible, grid_size)
        return select_patches(is_visible, scores, num_visible, num_predict)
