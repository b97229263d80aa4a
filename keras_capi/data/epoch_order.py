"""Which images an epoch uses, and in which order."""

import functools

import numpy as np

from keras_capi.validation import check_integers


def check_share(share):
    """Returns the share of a process in each epoch, or raises.

    Args:
        share: Tuple `(index, count)`.
    """
    share = check_integers("share", share)
    if len(share) != 2 or not 0 <= share[0] < share[1]:
        raise ValueError(
            "`share` must be (index, count) with 0 <= index < count. "
            f"Received: share={share}"
        )
    return share


def check_fills_a_batch(num_images, samples_per_image, batch_size, share):
    """Raises a `ValueError` if an epoch would not fill a batch.

    Args:
        num_images: Integer.
        samples_per_image: Integer. How often each is taken.
        batch_size: Integer.
        share: Tuple `(index, count)`.
    """
    if num_images * samples_per_image // share[1] < batch_size:
        raise ValueError(
            "There must be enough images for a batch: lower `batch_size`, "
            "or raise `samples_per_image`. Received: "
            f"{num_images} images, batch_size={batch_size}, share={share}"
        )


# All batches of an epoch ask for the same order.
@functools.lru_cache(maxsize=2)
def draw_order(num_images, samples_per_image, share, seed):
    """Draws the image numbers of an epoch, for the share of one process.

    Args:
        num_images: Integer.
        samples_per_image: Integer. How often each is taken.
        share: Tuple `(index, count)`.
        seed: Tuple of integers, the same for all processes.
    """
    index, count = share
    num_samples = num_images * samples_per_image
    order = np.random.default_rng(seed).permutation(num_samples) % num_images
    # The parts of all processes have the same size.
    return order[: num_samples // count * count][index::count]
