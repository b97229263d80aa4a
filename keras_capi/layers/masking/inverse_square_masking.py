import keras
from keras import ops

from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.ops.masks.square_masks import cover_with_squares
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_ratio


@keras.saving.register_keras_serializable(package="keras_capi")
class InverseSquareMasking(GridMasking):
    """Hides all but a few small squares of patches: data2vec 2.0's masking.

    The visible patches form small pieces all over the image, so that each mask
    of an image shows different parts of it. Squares may overlap, and end at the
    edge of the image. Single patches are then dropped from them, or added
    elsewhere, until all images have the same number of visible patches.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        visible_ratio: Float in (0, 1). Share of the patches that are visible.
            Their number is `int(patches * (1 - (1 - visible_ratio)))`, as in
            the authors' code: a fifth of 100 patches gives 19. Defaults to
            `0.2`.
        square_ratio: Float in (0, 1). Share of the patches that the squares
            would cover if none overlapped. The number of squares, `patches *
            square_ratio / square_size**2`, is rounded down likewise. Defaults
            to `0.27`.
        square_size: Integer. Side of a square in patches. Defaults to `3`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.

    Output shape:
        `{"visible_indices": (batch, visible), "predict_indices": (batch,
        patches - visible)}`, int32, row-major patches, ascending. All hidden
        patches are predicted.

    Raises:
        ValueError: If an argument is out of range, or if no patch would be
            visible.

    Example:

    >>> masking = keras_capi.layers.InverseSquareMasking((14, 14))
    >>> masking(keras.ops.zeros((2,)))["visible_indices"].shape  # (2, 39)

    Reference:

    - [data2vec 2.0](https://arxiv.org/abs/2212.07525), section 3.3
    """

    def __init__(
        self,
        grid_size=None,
        visible_ratio=0.2,
        square_ratio=0.27,
        square_size=3,
        seed=None,
        **kwargs,
    ):
        super().__init__(grid_size, seed, **kwargs)
        check_ratio("visible_ratio", visible_ratio)
        check_ratio("square_ratio", square_ratio)
        check_positive_integer("square_size", square_size)
        self.visible_ratio = visible_ratio
        self.square_ratio = square_ratio
        self.square_size = square_size
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
        num_visible = int(num_patches * self._rounded_ratio)
        if num_visible < 1:
            raise ValueError(
                "No patch is visible: use larger images, smaller patches, or a "
                f"higher `visible_ratio`. Received: grid_size={grid_size}, "
                f"visible_ratio={self.visible_ratio}"
            )
        return num_visible, num_patches - num_visible

    @property
    def _rounded_ratio(self):
        return 1 - (1 - self.visible_ratio)

    def call(self, inputs, grid_size=None):
        grid_size = self.resolve_grid_size(grid_size)
        num_visible, num_hidden = self.count_patches(grid_size)
        num_patches = num_visible + num_hidden
        # Both ratios carry the same rounding error, and this one a further one.
        ratio = self._rounded_ratio + self.square_ratio - self.visible_ratio
        num_squares = int(num_patches * (ratio / self.square_size**2))
        uniform = self.draw(inputs, num_patches + num_squares)
        scores = uniform[:, :num_patches]
        if num_squares:
            covered = cover_with_squares(
                uniform[:, num_patches:], self.square_size, grid_size
            )
            # Covered patches first, in random order, then the others.
            scores = scores + ops.cast(covered, scores.dtype)
        order = ops.cast(ops.top_k(scores, num_patches)[1], "int32")
        return {
            "visible_indices": ops.sort(order[:, :num_visible], axis=1),
            "predict_indices": ops.sort(order[:, num_visible:], axis=1),
        }

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
            "visible_ratio": self.visible_ratio,
            "square_ratio": self.square_ratio,
            "square_size": self.square_size,
        }
