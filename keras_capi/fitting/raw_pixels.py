import warnings

import keras
import numpy as np

from keras_capi.validation import is_array

# The mean is about 1 for normalised images, and about 100 for values up to 255.
LARGEST_MEAN = 10.0
NUM_EXAMINED = 16


def warn_of_raw_pixels(x):
    """Warns if images seem to be in 0 to 255 instead of normalised.

    It looks at some of the images in arrays, at the first batch of a
    `keras.utils.PyDataset` or `tf.data.Dataset`, and at the first image of a
    torch `DataLoader`. Generators and streams are not checked, as they can be
    read only once.

    Args:
        x: The `x` given to `fit`.
    """
    if getattr(x, "is_normalized", False):
        # It would count this batch as read.
        return
    x = first_batch(x)
    x = x[0] if isinstance(x, tuple | list) and x else x
    images = x.get("images") if isinstance(x, dict) else x
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
