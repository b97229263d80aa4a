"""Images with numbers, which identify them from epoch to epoch."""

import collections
import contextlib
import itertools
from concurrent import futures

import keras
import numpy as np

from keras_capi import backend
from keras_capi.fitting.raw_pixels import first_batch
from keras_capi.ops.known_axes import may_match
from keras_capi.ops.value_range import check_value_range
from keras_capi.training.tried_part import describe
from keras_capi.validation import is_array

# Keras's default for arrays.
BATCH_SIZE = 32
RULE = (
    "Images must have numbers, so that each is known from one epoch to the "
    "next: arrays and the data sets of `keras_capi.data` are numbered by "
    '`fit`; others must give dictionaries with `"indices"`, integers from 0, '
    'beside `"images"`, each time they are read'
)


def number_images(x):
    """Numbers arrays of images, unless they are numbered already.

    Args:
        x: Input of `fit`: an array, a dictionary of arrays, or a data set.

    Returns:
        Dictionary with `"indices"`, or the unchanged data set.
    """
    if is_array(x):
        x = {"images": x}
    if isinstance(x, dict) and "indices" not in x:
        count = len(next(iter(x.values())))
        x = {**x, "indices": np.arange(count, dtype="int32")}
    return x


def can_number(x):
    """Returns whether a data set can give the numbers of its images."""
    return hasattr(x, "is_numbered")


@contextlib.contextmanager
def numbered(x):
    """Makes a data set give the numbers of its images within a context.

    Args:
        x: Result of `number_images`.
    """
    if not can_number(x):
        yield
        return
    former, x.is_numbered = x.is_numbered, True
    try:
        yield
    finally:
        x.is_numbered = former
        if hasattr(x, "drawn_images"):
            x.drawn_images = None


def count_images(x):
    """Returns how many images there are, judging by their numbers.

    Args:
        x: Result of `number_images`.
    """
    if isinstance(x, dict):
        indices = keras.ops.convert_to_numpy(x["indices"])
        if indices.min() < 0:
            raise ValueError(
                "`indices` must be numbers from 0. "
                f"Received: from {indices.min()} to {indices.max()}"
            )
        return int(indices.max()) + 1
    if can_number(x):
        return x.num_images
    raise ValueError(
        "`num_images` must be given if `fit` gets a data set in place of "
        f"arrays. Received: num_images=None, x={type(x).__name__}"
    )


def check_number_of_images(x, num_images):
    """Raises a `ValueError` if images do not match those a model knows.

    Args:
        x: Input of `fit`, not numbered.
        num_images: Integer. How many images the model has memory for.
    """
    has_numbers = isinstance(x, dict) and "indices" in x
    if is_array(x) or isinstance(x, dict):
        count = count_images(number_images(x))
    elif can_number(x):
        count, has_numbers = x.num_images, True
    else:
        return
    if count > num_images or (count < num_images and not has_numbers):
        raise ValueError(
            "Images without numbers must be the whole data set that the model "
            "knows, and there must be no more than that: for a part of it, "
            'give `{"images": ..., "indices": ...}`. Received: '
            f"num_images={num_images}, {count} images"
        )


def check_not_numbered_alike(x, num_images):
    """Raises a `ValueError` if processes would reuse each other's numbers.

    Args:
        x: Input of `fit`, not numbered.
        num_images: Integer, the size of the data set, or `None`.
    """
    if backend.num_processes() == 1 or not (is_array(x) or isinstance(x, dict)):
        return
    names = sorted(x) if isinstance(x, dict) else ["images"]
    if "indices" not in names or num_images is None:
        raise ValueError(
            "If several processes have their own arrays, images must have "
            "their numbers in the whole data set: give "
            '`{"images": ..., "indices": ...}`, and the method `num_images`. '
            f"Received: num_images={num_images}, {names}"
        )


def check_is_numbered(x):
    """Raises a `ValueError` unless a data set has the numbers of its images.

    It looks at the first batch, if the data set can be read more than once, and
    at arrays if these have numbers.

    Args:
        x: Input of `fit`.
    """
    if isinstance(x, dict) and "indices" in x:
        check_numbered(x)
    if is_array(x) or isinstance(x, dict) or can_number(x):
        return
    if hasattr(x, "__next__"):
        raise ValueError(f"{RULE}. Received: a {type(x).__name__}")
    batch = first_batch(x)
    batch = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if isinstance(batch, dict):
        check_numbered(batch)
    elif batch is not x:
        raise ValueError(f"{RULE}. Received: a {type(x).__name__} of arrays")


def check_can_draw(x):
    """Raises a `ValueError` unless the images of an epoch can be chosen.

    Args:
        x: A data set.
    """
    if not hasattr(x, "drawn_images"):
        raise ValueError(
            "The images of each epoch are drawn by cluster: give "
            "arrays, `keras_capi.data.AugmentedImages` or "
            f"`keras_capi.data.RandomCrops`. Received: {type(x).__name__}"
        )


def check_any_can_load(x, num_images):
    """Raises a `ValueError` if several processes have different arrays.

    Args:
        x: Dictionary of arrays.
        num_images: Integer, the size of the data set.
    """
    count = backend.num_processes()
    if count == 1:
        return
    known = len(np.unique(keras.ops.convert_to_numpy(x["indices"])))
    if known < num_images:
        raise ValueError(
            "If several processes train, each must be able to load any image, "
            "as images are drawn by cluster: give each of them the arrays of "
            "all images, or `keras_capi.data.AugmentedImages` or "
            f"`keras_capi.data.RandomCrops`. Received: {known} of {num_images} "
            f"images in one of {count} processes"
        )


def check_numbered(inputs):
    """Raises a `ValueError` unless each image of a batch has a number.

    Args:
        inputs: Dictionary of arrays or tensors.
    """
    if "indices" not in inputs:
        raise ValueError(f"{RULE}. Received: {sorted(inputs)}")
    indices = inputs["indices"]
    counts = {
        name: x.shape[0]
        for name, x in inputs.items()
        if name != "indices" and is_array(x)
    }
    if not (
        is_array(indices)
        and keras.backend.is_int_dtype(
            keras.backend.standardize_dtype(indices.dtype)
        )
        and all(may_match(indices.shape, (n,)) for n in counts.values())
    ):
        raise ValueError(
            "`indices` must be integers of shape (batch,), a number for each "
            f"image. Received: {describe(indices)}, for {counts}"
        )


def check_known_numbers(inputs, num_images):
    """Raises a `ValueError` unless images are of a data set of this size.

    Args:
        inputs: Dictionary of arrays or tensors whose values are known.
        num_images: Integer.
    """
    indices = keras.ops.convert_to_numpy(inputs["indices"])
    check_value_range(
        "indices", indices, num_images, "the numbers of the images"
    )


def list_batches(x, batch_size):
    """Yields the batches of an epoch, in order.

    Args:
        x: Result of `number_images`.
        batch_size: Integer or `None`. Batch size of arrays.

    Yields:
        Dictionaries of a batch.
    """
    if isinstance(x, dict):
        size = batch_size or BATCH_SIZE
        for start in range(0, len(x["indices"]), size):
            yield {name: x[name][start : start + size] for name in x}
    else:
        # Keras's data sets count their batches, and would never end.
        is_counted = isinstance(x, keras.utils.PyDataset)
        for batch in _read_ahead(x) if is_counted else x:
            batch = batch[0] if isinstance(batch, tuple | list) else batch
            yield batch if isinstance(batch, dict) else {"images": batch}


def _read_ahead(dataset):
    """Yields the batches of a data set, prepared in threads as in `fit`."""
    ahead = collections.deque()
    count = dataset.num_batches
    indices = itertools.count() if count is None else range(count)
    with futures.ThreadPoolExecutor(max(dataset.workers, 1)) as executor:
        for index in indices:
            ahead.append(executor.submit(dataset.__getitem__, index))
            if len(ahead) > dataset.max_queue_size:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def list_whole(data):
    """Yields the batches of all images, not augmented.

    Each of several processes gets its part, in the same number of batches.

    Args:
        data: A data set whose images can be chosen.

    Yields:
        Dictionaries of a batch. They may be without images, if none of these
        can be read or too few are left for all processes.
    """
    index, count = backend.process_index(), backend.num_processes()
    numbers, size = data.image_numbers, count * data.batch_size
    for start in range(0, len(numbers), size):
        part = numbers[start : start + size][index::count]
        if len(part):
            yield data.load_whole(part)
        else:
            yield {"indices": np.array(part, "int32")}
