import warnings

import keras
import numpy as np

from keras_capi.validation import is_array

# Of normalised images it is about 1, of those from 0 to 255 about 100.
LARGEST_MEAN = 10.0
NUM_EXAMINED = 16


def warn_of_raw_pixels(x):
    """Warns if images seem to be from 0 to 255, and not normalised.

    Looks at some of the images in arrays, at the first batch of a
    `keras.utils.PyDataset` or `tf.data.Dataset`, and at the first image of a
    torch `DataLoader`. Generators can be read only once.

    Args:
        x: What `fit` takes.
    """
    if getattr(x, "is_normalized", False):
        # Its batches would be counted.
        return
    x = first_batch(x)
    x = x[0] if isinstance(x, tuple | list) and x else x
    images = x.get("images") if isinstance(x, dict) else x
    if not is_array(images) or len(images.shape) != 4 or not len(images):
        return
    step = -(-images.shape[0] // NUM_EXAMINED)
    examined = keras.ops.convert_to_numpy(images[::step])
    if examined.dtype.kind == "u":
        # Refused elsewhere.
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
        x: What `fit` takes.

    Returns:
        A batch, of one sample for a torch `DataLoader`; `x` itself if it is of
        another kind; or `None` if there is no batch.
    """
    if isinstance(x, keras.utils.PyDataset):
        # It is `None` for those without an end.
        return None if x.num_batches == 0 else x[0]
    if hasattr(x, "element_spec") and hasattr(x, "take"):
        return next(iter(x.take(1)), None)
    samples = getattr(x, "dataset", None)
    if hasattr(x, "collate_fn") and hasattr(samples, "__getitem__"):
        return x.collate_fn([samples[0]])
    return x
