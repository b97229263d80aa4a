"""What a loss makes of labels that are no classes."""

from keras import ops

from keras_capi.backend.active import BACKEND


def refuse_labels(loss, labels, num_classes, ignored=None):
    """Returns a loss, or NaN if a label is not a class.

    TensorFlow and torch raise of such labels, or their loss is NaN on some
    devices. JAX would take them for no class at all, and go on; but no step of
    it can raise of a value, and who reads one makes the device wait.

    Args:
        loss: Scalar tensor.
        labels: Tensor of any shape.
        num_classes: How many classes there are, from 0.
        ignored: A label that does not count, or `None`.
    """
    if BACKEND != "jax":
        return loss
    valid = (labels >= 0) & (labels < num_classes) & (labels == labels // 1)
    if ignored is not None:
        valid |= labels == ignored
    return ops.where(ops.all(valid), loss, float("nan"))
