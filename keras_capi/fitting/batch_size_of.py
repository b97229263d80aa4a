import keras

DEFAULT_BATCH_SIZE = 32  # of Keras


def batch_size_of(x, batch_size, batch=None):
    """Returns the batch size of `fit`, or `None` if it is unknown.

    Args:
        x: The `x` given to `fit`.
        batch_size: The `batch_size` given to `fit`.
        batch: The first batch of a data set, if it was read: without it, the
            size is unknown where a `tf.data.Dataset` leaves it open. Defaults
            to `None`.
    """
    images = first_array(x)
    if hasattr(images, "shape"):
        return min(batch_size or DEFAULT_BATCH_SIZE, images.shape[0])
    known = getattr(x, "batch_size", None)
    if isinstance(known, int):
        return known
    if isinstance(x, keras.utils.PyDataset) and x.num_batches:
        return _first_length(x[0] if batch is None else batch)
    if not hasattr(x, "element_spec"):
        return None
    known = _first_length(x.element_spec)
    return _first_length(batch) if known is None else known


def first_array(x):
    """Returns the first array of a dictionary, or what else is given."""
    return next(iter(x.values()), None) if isinstance(x, dict) else x


def _first_length(batch):
    for leaf in keras.tree.flatten(batch):
        return (getattr(leaf, "shape", None) or (None,))[0]
    return None
