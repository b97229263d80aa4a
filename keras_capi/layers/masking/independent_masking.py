import keras

from keras_capi.layers.masking.grid_masking import GridMasking
from keras_capi.validation import check_number


@keras.saving.register_keras_serializable(package="keras_capi")
class IndependentMasking(GridMasking):
    """Hides each patch with the same probability, independently of the others.

    The number of hidden patches therefore varies between images, and may be 0.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        mask_ratio: Float in `[0, 1)`. Probability that a patch is hidden.
            Defaults to `0.15`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.

    Output shape:
        `{"mask": (batch, rows * columns)}`, Boolean, `True` where hidden.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> masking = keras_capi.layers.IndependentMasking((32, 32))
    >>> masking(keras.ops.zeros((2,)))["mask"].shape  # (2, 1024)

    Reference:

    - [Chen et al., 2020](https://cdn.openai.com/papers/Generative_Pretraining_from_Pixels_V2.pdf),
      section 2.1 (BERT objective)
    """

    def __init__(self, grid_size=None, mask_ratio=0.15, seed=None, **kwargs):
        super().__init__(grid_size, seed, **kwargs)
        check_number("mask_ratio", mask_ratio, "[0, 1)")
        self.mask_ratio = mask_ratio

    def call(self, inputs, grid_size=None):
        rows, columns = self.resolve_grid_size(grid_size)
        return {"mask": self.draw(inputs, rows * columns) < self.mask_ratio}

    def compute_output_spec(self, inputs, grid_size=None):
        rows, columns = self.resolve_grid_size(grid_size)
        shape = (inputs.shape[0], rows * columns)
        return {"mask": keras.KerasTensor(shape, "bool")}

    def get_config(self):
        return {**super().get_config(), "mask_ratio": self.mask_ratio}
