import numpy as np

from keras_capi.layers.norms.imagenet_normalization import MEAN
from keras_capi.layers.norms.imagenet_normalization import STANDARD_DEVIATION


def channel_statistics(mean, standard_deviation, num_channels):
    """Returns the mean and deviation of each channel, checked.

    Args:
        mean: Sequence of numbers, one for each channel: what was subtracted
            from values in `[0, 1]`. `None` is ImageNet's mean, averaged if
            there are not three channels.
        standard_deviation: Likewise: what they were then divided by. Give both
            or neither: your own mean with ImageNet's deviation would describe a
            normalisation that never took place.
        num_channels: Integer. Number of channels of the images.

    Returns:
        Two tuples of `num_channels` floats.
    """
    if (mean is None) != (standard_deviation is None):
        raise ValueError(
            "`mean` and `standard_deviation` must be given together. Received: "
            f"mean={mean!r}, standard_deviation={standard_deviation!r}"
        )
    mean = _channel_values("mean", mean, num_channels, MEAN)
    deviation = _channel_values(
        "standard_deviation",
        standard_deviation,
        num_channels,
        STANDARD_DEVIATION,
    )
    if min(deviation) <= 0:
        raise ValueError(
            "`standard_deviation` must be positive. "
            f"Received: standard_deviation={standard_deviation!r}"
        )
    return mean, deviation


def _channel_values(name, values, num_channels, default):
    if values is None:
        if num_channels == len(default):
            return default
        return num_channels * (sum(default) / len(default),)
    try:
        values = tuple(float(value) for value in values)
        is_right = len(values) == num_channels and np.isfinite(values).all()
    except (TypeError, ValueError):
        is_right = False
    if not is_right:
        raise ValueError(
            f"`{name}` must be {num_channels} numbers, one for each channel. "
            f"Received: {name}={values!r}"
        )
    return values
