import keras

from keras_capi.layers.masking.patch_masking import PatchMasking
from keras_capi.ops.masks.block_masks import split_at_random


@keras.saving.register_keras_serializable(package="keras_capi")
class RandomMasking(PatchMasking):
    """Hides patches uniformly at random.

    The simplest masking. Scattered visible patches give away much of what lies
    between them. So it needs a high `mask_ratio` (0.9 in the paper), and still
    leads to weaker features than `keras_capi.layers.InverseBlockMasking`.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if the model sets it. Defaults to `None`.
        mask_ratio: Float in (0, 1). Share of the patches that are hidden.
            Defaults to `0.65`.
        prediction_ratio: Float in (0, 1]. Share of the hidden patches that are
            predicted. Defaults to `0.05`.
        seed: Integer or `None`. Defaults to `None`.
        round_visible: Boolean. Whether to round down the number of visible
            patches, as in MAE: `int(patches * (1 - mask_ratio))`. Otherwise
            that of the hidden ones is rounded down. Defaults to `False`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.

    Output shape:
        `{"visible_indices": (batch, num_visible), "predict_indices": (batch,
        num_predict)}`, int32, row-major patches.

    Raises:
        ValueError: If a ratio is out of range, or no patch is visible or left
            to predict.

    Example:

    >>> masking = keras_capi.layers.RandomMasking((14, 14), mask_ratio=0.9)
    >>> masking(keras.ops.zeros((2,)))["visible_indices"].shape  # (2, 20)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.3 (masking)
    - [MAE](https://arxiv.org/abs/2111.06377), section 3 (masking)
    """

    def __init__(
        self,
        grid_size=None,
        mask_ratio=0.65,
        prediction_ratio=0.05,
        seed=None,
        round_visible=False,
        **kwargs,
    ):
        self.round_visible = round_visible
        super().__init__(
            grid_size, mask_ratio, prediction_ratio, seed, **kwargs
        )

    def count_visible(self, num_patches):
        if self.round_visible:
            return int(num_patches * (1 - self.mask_ratio))
        return super().count_visible(num_patches)

    def select_indices(self, numbers, scores, grid_size):
        return split_at_random(scores, *self.count_patches(grid_size))

    def get_config(self):
        return {**super().get_config(), "round_visible": self.round_visible}
