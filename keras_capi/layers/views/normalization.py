"""How images were normalised, for layers that change colours."""

import numpy as np
from keras import ops

from keras_capi.layers.norms.imagenet_normalization import MEAN
from keras_capi.layers.norms.imagenet_normalization import STANDARD_DEVIATION
from keras_capi.validation import check_each
from keras_capi.validation import check_number
from keras_capi.validation import check_positive


def check_normalization(mean, std):
    """Returns both arguments as tuples, or both as `None`, or raises."""
    if mean is None and std is None:
        return None, None
    if mean is None or std is None:
        raise ValueError(
            "`mean` and `std` must be given together. "
            f"Received: mean={mean}, std={std}"
        )
    mean = check_each("mean", mean, check_number)
    std = check_each("std", std, check_positive)
    if len(mean) != len(std):
        raise ValueError(
            "`mean` and `std` must have the same number of values. "
            f"Received: mean={mean}, std={std}"
        )
    return mean, std


def normalization_tensors(mean, std, num_channels):
    """Returns mean and deviation of each channel as float32 tensors.

    Args:
        mean: Tuple of floats. `None` is ImageNet's mean, averaged if there are
            not three channels.
        std: Tuple of floats or `None`, likewise.
        num_channels: Integer. Number of channels of the images.

    Raises:
        ValueError: If the number of values is not that of the channels.
    """
    if mean is None:
        mean, std = (
            for_channels(values, num_channels)
            for values in (MEAN, STANDARD_DEVIATION)
        )
    if len(mean) != num_channels:
        raise ValueError(
            "`mean` and `std` must have one value for each channel of the "
            f"images. Received: {len(mean)} values, and images of "
            f"{num_channels} channels"
        )
    return tuple(ops.convert_to_tensor(x, "float32") for x in (mean, std))


def for_channels(values, num_channels):
    """Returns values of three channels, or their average for each channel.

    Args:
        values: Tuple of three floats.
        num_channels: Integer.
    """
    if num_channels == len(values):
        return tuple(values)
    return (float(np.mean(values)),) * num_channels
