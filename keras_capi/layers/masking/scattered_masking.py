import keras
from keras import ops

from keras_capi.layers.masking.replacement_masking import ReplacementMasking


@keras.saving.register_keras_serializable(package="keras_capi")
class ScatteredMasking(ReplacementMasking):
    """Hides single patches, uniformly at random.

    For methods that replace hidden patches, so that masks may differ in size.
    `keras_capi.layers.RandomMasking` is for methods that drop them.

    Args:
        grid_size: Tuple of two integers, rows and columns of patches, or `None`
            if it comes with each call. Defaults to `None`.
        mask_ratio: Float in `[0, 1)`, the share of the patches to hide, rounded
            down to whole patches; or a sequence of pairs `(low, high)`: each
            image draws one of the pairs, and then its share between the two.
            Defaults to `0.4`.
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Any tensor whose first axis is the batch.
        grid_size: Tuple of two integers. Required if the constructor got none.

    Output shape:
        `{"mask": (batch, rows * columns)}`, Boolean, `True` where hidden.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> masking = keras_capi.layers.ScatteredMasking((14, 14), 0.7)
    >>> masking(keras.ops.zeros((2,)))["mask"].shape  # (2, 196)

    Reference:

    - [iBOT](https://arxiv.org/abs/2111.07832), appendix (random masking)
    """

    def count_numbers(self, grid_size):
        return grid_size[0] * grid_size[1]

    def sample(self, numbers, targets, grid_size):
        # The rank of each patch in the order of its random number.
        ranks = ops.argsort(ops.argsort(numbers, axis=1), axis=1)
        counts = ops.cast(targets, "int32")[:, None]
        return ops.cast(ranks, "int32") < counts
