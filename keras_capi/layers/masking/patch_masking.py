import keras

from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.validation import check_number
from keras_capi.validation import check_ratio


class PatchMasking(GridMasking):
    """Base class of maskings with fixed counts of hidden and predicted patches.

    A subclass implements `select_indices`; `numbers_per_image` is how many
    random numbers it takes in addition to one for each patch.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        mask_ratio: Float in (0, 1). Share of the patches that are hidden. Their
            number is `int(patches * mask_ratio)`. Defaults to `0.65`.
        prediction_ratio: Float in (0, 1]. Share of the hidden patches that are
            predicted. Their number is `int(hidden * prediction_ratio)`.
            Defaults to `0.05`.
        seed: Integer or `None`. Defaults to `None`.
    """

    numbers_per_image = 0

    def __init__(
        self,
        grid_size=None,
        mask_ratio=0.65,
        prediction_ratio=0.05,
        seed=None,
        **kwargs,
    ):
        super().__init__(grid_size, seed, **kwargs)
        check_ratio("mask_ratio", mask_ratio)
        check_number("prediction_ratio", prediction_ratio, "(0, 1]")
        self.mask_ratio = mask_ratio
        self.prediction_ratio = prediction_ratio
        if self.grid_size is not None:
            self.count_patches(self.grid_size)

    def count_patches(self, grid_size):
        """Returns the numbers of visible and predicted patches of an image.

        Args:
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            Tuple of two integers.
        """
        num_patches = grid_size[0] * grid_size[1]
        num_visible = self.count_visible(num_patches)
        if num_visible < 1:
            raise ValueError(
                "No patch is visible: use larger images, smaller patches, or a "
                f"lower `mask_ratio`. Received: grid_size={tuple(grid_size)}, "
                f"mask_ratio={self.mask_ratio}"
            )
        num_masked = num_patches - num_visible
        num_predict = int(num_masked * self.prediction_ratio)
        if num_predict < 1:
            raise ValueError(
                "No patch is left to predict: use larger images, smaller "
                "patches, or a higher `mask_ratio` or `prediction_ratio`. "
                f"Received: grid_size={tuple(grid_size)}, "
                f"mask_ratio={self.mask_ratio}, "
                f"prediction_ratio={self.prediction_ratio}"
            )
        return num_visible, num_predict

    def count_visible(self, num_patches):
        """Returns how many of `num_patches` patches are visible."""
        return num_patches - int(num_patches * self.mask_ratio)

    def call(self, inputs, grid_size=None):
        grid_size = self.resolve_grid_size(grid_size)
        num_patches = grid_size[0] * grid_size[1]
        uniform = self.draw(inputs, self.numbers_per_image + num_patches)
        visible_indices, predict_indices = self.select_indices(
            uniform[:, : self.numbers_per_image],
            uniform[:, self.numbers_per_image :],
            grid_size,
        )
        return {
            "visible_indices": visible_indices,
            "predict_indices": predict_indices,
        }

    def select_indices(self, numbers, scores, grid_size):
        """Turns random numbers into indices.

        Args:
            numbers: Float tensor of shape `(batch, numbers_per_image)`, uniform
                in `[0, 1)`.
            scores: Float tensor of shape `(batch, patches)`, uniform in
                `[0, 1)`.
            grid_size: Tuple of two integers.

        Returns:
            Two int32 tensors of shapes `(batch, num_visible)` and
            `(batch, num_predict)`.
        """
        raise NotImplementedError

    def compute_output_spec(self, inputs, grid_size=None):
        counts = self.count_patches(self.resolve_grid_size(grid_size))
        names = ("visible_indices", "predict_indices")
        return {
            name: keras.KerasTensor((inputs.shape[0], count), "int32")
            for name, count in zip(names, counts, strict=True)
        }

    def get_config(self):
        return {
            **super().get_config(),
            "mask_ratio": self.mask_ratio,
            "prediction_ratio": self.prediction_ratio,
        }
