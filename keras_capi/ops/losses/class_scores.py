from keras import ops

from keras_capi.ops.tokens import in_range
from keras_capi.ops.value_range import check_value_range


def class_scores(name, classes, logits):
    """Returns the scores of given classes.

    For a number that is not a class, backends would take another class, or
    raise.

    Args:
        name: String. What errors call the classes.
        classes: Integer tensor of shape `(..., some)`.
        logits: Float tensor of shape `(..., classes)`: scores of all classes.

    Returns:
        Tensor of the shape of `classes`, with NaN for what is not a class.

    Raises:
        ValueError: If the classes are a NumPy array with a value that is not a
            class.
    """
    # A tensor where a loss has a class for each image of the batch.
    num_classes = ops.shape(logits)[-1]
    if isinstance(num_classes, int):
        check_value_range(name, classes, num_classes, "as there are classes")
    classes = ops.cast(classes, "int32")
    is_class = in_range(classes, num_classes)
    places = ops.where(is_class, classes, 0)
    scores = ops.take_along_axis(logits, places, axis=-1)
    return ops.where(is_class, scores, float("nan"))
