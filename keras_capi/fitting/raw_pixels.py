import warnings

import keras
import numpy as np

from keras_capi.validation import is_array

# The mean is about 1 for normalised images, and about 100 for values up to 255.
LARGEST_MEAN = 10.0
NUM_EXAMINED = 16


def warn_of_raw_pixels(batch):
    """Warns if images seem to be in 0 to 255 instead of normalised.

    Args:
        batch: Arrays or a batch, see `examined_batch`.
    """
    if isinstance(batch, tuple | list) and batch:
        batch = batch[0]
    images = batch.get("images") if isinstance(batch, dict) else batch
    if not is_array(images) or len(images.shape) != 4 or not len(images):
        return
    step = -(-images.shape[0] // NUM_EXAMINED)
    examined = keras.ops.convert_to_numpy(images[::step])
    if examined.dtype.kind == "u":
        # This is refused elsewhere.
        return
    if np.abs(examined.astype("float32")).mean() > LARGEST_MEAN:
        warnings.warn(
            "Images should be normalised, to values around 0, as "
            "`keras_capi.layers.ImageNetNormalization` does with those from 0 "
            f"to 255. Received: values from {float(examined.min()):.0f} "
            f"to {float(examined.max()):.0f}",
            stacklevel=4,
        )


def examined_batch(x):
    """Returns what can be looked at before a training.

    These are the arrays themselves, the first batch of a
    `keras.utils.PyDataset` or `tf.data.Dataset`, and the first image of a torch
    `DataLoader`. Generators and streams are not read, as they can be read only
    once, nor this package's data sets, which would count the batch as read.

    Args:
        x: The `x` given to `fit`.
    """
    return None if getattr(x, "is_normalized", False) else first_batch(x)


def first_batch(x):
    """Returns the first batch of a data set that can be read again.

    Args:
        x: The `x` given to `fit`.

    Returns:
        A batch, which is a single sample for a torch `DataLoader`; `x` itself
        if it is something else; or `None` if there is no batch.
    """
    if isinstance(x, keras.utils.PyDataset):
        # The number is `None` for endless data sets.
        return None if x.num_batches == 0 else x[0]
    if hasattr(x, "element_spec") and hasattr(x, "take"):
        return next(iter(x.take(1)), None)
    samples = getattr(x, "dataset", None)
    if hasattr(x, "collate_fn") and hasattr(samples, "__getitem__"):
        try:
            first = samples[0]
        # Of streams, and of data sets whose samples have other names.
        except (NotImplementedError, LookupError):
            return None
        return x.collate_fn([first])
    return x
