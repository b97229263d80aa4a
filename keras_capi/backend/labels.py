"""Losses of labels that are not classes."""

from keras import ops

from keras_capi.backend.active import BACKEND


def refuse_labels(loss, labels, num_classes, ignored=None):
    """Returns a loss, or NaN if a label is not a class.

    TensorFlow and torch raise for such labels, or their loss is NaN on some
    devices. JAX would ignore them silently, and a compiled step cannot raise
    because of a value; reading it on the host would make the device wait.

    Args:
        loss: Scalar tensor.
        labels: Tensor of any shape.
        num_classes: Number of classes, which count from 0.
        ignored: A label that is ignored, or `None`. Defaults to `None`.
    """
    if BACKEND != "jax":
        return loss
    valid = (labels >= 0) & (labels < num_classes) & (labels == labels // 1)
    if ignored is not None:
        valid |= labels == ignored
    return ops.where(ops.all(valid), loss, float("nan"))
