"""Images with their numbers, by which they are known from epoch to epoch."""

import keras
import numpy as np

from keras_capi import backend
from keras_capi.validation import is_array

# What Keras takes for arrays.
BATCH_SIZE = 32


def number_images(x):
    """Numbers arrays of images, unless they have numbers.

    Args:
        x: What `fit` takes: an array, a dictionary of arrays, or a data set.

    Returns:
        Dictionary with `"indices"`, or the data set as it is.
    """
    if is_array(x):
        x = {"images": x}
    if isinstance(x, dict) and "indices" not in x:
        count = len(next(iter(x.values())))
        x = {**x, "indices": np.arange(count, dtype="int32")}
    return x


def count_images(x):
    """Returns how many images there are, by their numbers.

    Args:
        x: What `number_images` returns.
    """
    if isinstance(x, dict):
        return int(np.max(x["indices"])) + 1
    raise ValueError(
        "`num_images` must be given if `fit` gets a data set in place of "
        f"arrays. Received: num_images=None, x={type(x).__name__}"
    )


def check_one_process(name):
    """Raises a `ValueError` if several processes share a training.

    Each would know the images of its own batches only.

    Args:
        name: String. The method's name.
    """
    if backend.num_processes() > 1:
        raise ValueError(
            f"{name} must be trained by one process. "
            f"Received: {backend.num_processes()} processes"
        )


def check_numbered(inputs):
    """Raises a `ValueError` unless a batch has the numbers of its images.

    Args:
        inputs: Dictionary of tensors.
    """
    if "indices" not in inputs:
        raise ValueError(
            'A data set must have the numbers of its images, `"indices"` from '
            '0, beside `"images"`, so that each is told its cluster; arrays '
            f"are numbered by `fit`. Received: {sorted(inputs)}"
        )


def list_batches(x, batch_size):
    """Yields the batches of an epoch, in order.

    Args:
        x: What `number_images` returns.
        batch_size: Integer or `None`, of arrays.

    Yields:
        Dictionaries of a batch.
    """
    if isinstance(x, dict):
        size = batch_size or BATCH_SIZE
        for start in range(0, len(x["indices"]), size):
            yield {name: x[name][start : start + size] for name in x}
    else:
        # Those of Keras count their batches, and would not end by themselves.
        is_counted = isinstance(x, keras.utils.PyDataset)
        for batch in map(x.__getitem__, range(len(x))) if is_counted else x:
            batch = batch[0] if isinstance(batch, tuple) else batch
            yield batch if isinstance(batch, dict) else {"images": batch}
