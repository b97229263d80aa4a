import keras
from keras import ops

from keras_capi.layers.random_state import RandomState
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_number
from keras_capi.validation import check_ratio
from keras_capi.validation import check_seed


class PatchMasking(keras.layers.Layer):
    """Base class of the maskings: counts, one random draw, and the config.

    A subclass implements `select_indices` and says in `numbers_per_image` how
    many random numbers it takes beside one for each patch.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        mask_ratio: Float in (0, 1). Share of the patches that are hidden; the
            number is `int(patches * mask_ratio)`. Defaults to `0.65`.
        prediction_ratio: Float in (0, 1]. Share of the hidden patches that are
            predicted; the number is `int(hidden * prediction_ratio)`. Defaults
            to `0.05`.
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
        # Rematerialisation would draw other masks in the backward pass.
        with keras.RematScope(mode=None):
            super().__init__(**kwargs)
        # Indices come out, and any first argument only tells the batch size.
        self.autocast = False
        check_ratio("mask_ratio", mask_ratio)
        check_number("prediction_ratio", prediction_ratio, "(0, 1]")
        check_seed("seed", seed)
        self.mask_ratio = mask_ratio
        self.prediction_ratio = prediction_ratio
        self.seed = seed
        self.random_state = RandomState(seed)
        self.grid_size = None
        if grid_size is not None:
            self.grid_size = check_grid_size(grid_size)
            self.count_patches(self.grid_size)
        self.built = True

    def count_patches(self, grid_size):
        """Returns how many patches are visible and predicted in an image.

        Args:
            grid_size: Tuple of two integers, rows and columns of patches.

        Returns:
            Tuple of two integers.
        """
        num_patches = grid_size[0] * grid_size[1]
        num_visible = self.count_visible(num_patches)
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
        """Returns how many of so many patches are visible."""
        return num_patches - int(num_patches * self.mask_ratio)

    def call(self, inputs, grid_size=None):
        grid_size = resolve_grid_size(grid_size, self.grid_size)
        num_patches = grid_size[0] * grid_size[1]
        uniform = self.random_state.uniform(
            (ops.shape(inputs)[0], self.numbers_per_image + num_patches)
        )
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
        counts = self.count_patches(
            resolve_grid_size(grid_size, self.grid_size)
        )
        names = ("visible_indices", "predict_indices")
        return {
            name: keras.KerasTensor((inputs.shape[0], count), "int32")
            for name, count in zip(names, counts, strict=True)
        }

    def get_config(self):
        return {
            **super().get_config(),
            "grid_size": self.grid_size,
            "mask_ratio": self.mask_ratio,
            "prediction_ratio": self.prediction_ratio,
            "seed": self.seed,
        }


def resolve_grid_size(grid_size, expected):
    """Returns the grid of a call, or of the constructor, or raises.

    Args:
        grid_size: Tuple of two integers, or `None`: that of a call.
        expected: Tuple of two integers, or `None`: that of a masking.
    """
    if grid_size is None:
        grid_size = expected
    if grid_size is None:
        raise ValueError(
            "`grid_size` must be given to the constructor or to the call. "
            "Received: grid_size=None"
        )
    if expected is not None and tuple(grid_size) != expected:
        raise ValueError(
            "The masking was made for another grid of patches; with "
            "`grid_size=None` it takes any. Received: "
            f"grid_size={tuple(grid_size)}, expected {expected}"
        )
    return tuple(grid_size)
