from keras import ops

from keras_capi.validation import check_number

# Added inside the logarithms.
EPSILON = 1e-12


def binary_cross_entropy(probabilities, label):
    """Returns the mean cross-entropy of probabilities with one label.

    The logarithms are of `probability + 1e-12`, so that a certain and wrong
    answer costs about 27.6 nats, and has no gradient.

    Args:
        probabilities: Float tensor of any shape, in `[0, 1]`.
        label: Float in `[0, 1]`. The target of all probabilities.

    Returns:
        Float32 scalar tensor, in nats.

    Raises:
        ValueError: If the label is out of range.

    Example:

    >>> keras_capi.ops.binary_cross_entropy(keras.ops.array([0.5, 0.9]), 1.0)
    """
    check_number("label", label, "[0, 1]")
    probabilities = ops.cast(probabilities, "float32")
    of_one = ops.log(probabilities + EPSILON)
    of_zero = ops.log(1.0 - probabilities + EPSILON)
    return -ops.mean(label * of_one + (1.0 - label) * of_zero)
