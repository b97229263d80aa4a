"""Colours as shares of the nearest bins, and back."""

from keras import ops

from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer


def encode_colors(colors, bins, num_neighbors=10, deviation=5.0):
    """Shares each colour out to its nearest bins.

    Args:
        colors: Float tensor of shape `(..., 2)`.
        bins: Float tensor of shape `(bins, 2)`.
        num_neighbors: Integer. How many bins to share it out to. Defaults to
            `10`.
        deviation: Float. A bin's share is that of a normal distribution with
            this deviation, by its distance. Defaults to `5.0`.

    Returns:
        Tuple of two tensors of shape `(..., num_neighbors)`, nearest first:
        which bins, int32, and their shares, float32, which add up to 1.

    Raises:
        ValueError: If there are fewer bins than neighbours, or an argument is
            out of range.

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), section
      2.1 (soft encoding)
    """
    check_positive_integer("num_neighbors", num_neighbors)
    check_positive("deviation", deviation)
    colors, bins = (ops.cast(x, "float32") for x in (colors, bins))
    if num_neighbors > bins.shape[0]:
        raise ValueError(
            "`num_neighbors` must not be above the number of bins. Received: "
            f"num_neighbors={num_neighbors}, {bins.shape[0]} bins"
        )
    # Not by products, whose difference would lose digits.
    distances = ops.square(colors[..., :1] - bins[:, 0]) + ops.square(
        colors[..., 1:] - bins[:, 1]
    )
    nearest, indices = ops.top_k(-distances, num_neighbors)
    # Relative to the nearest, as all may be far. It is the first, but XLA sorts
    # all bins where a part of the largest is taken again.
    nearest = nearest - ops.max(nearest, axis=-1, keepdims=True)
    shares = ops.exp(nearest / (2.0 * deviation**2))
    shares = shares / ops.sum(shares, axis=-1, keepdims=True)
    return ops.cast(indices, "int32"), shares


def annealed_mean(logits, bins, temperature=0.38):
    """Returns one colour for scores of all bins.

    Between the most likely colour, which flickers from place to place, and the
    mean, which is greyish.

    Args:
        logits: Float tensor of shape `(..., bins)`.
        bins: Float tensor of shape `(bins, 2)`.
        temperature: Float. Divides the scores: 1 is the mean, 0 would be the
            most likely. Defaults to `0.38`.

    Returns:
        Float32 tensor of shape `(..., 2)`.

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), section
      2.3
    """
    check_positive("temperature", temperature)
    logits = ops.cast(logits, "float32") / temperature
    probabilities = ops.softmax(logits, axis=-1)
    return ops.matmul(probabilities, ops.cast(bins, "float32"))


def rebalancing_weights(prior, mixing=0.5, power=1.0):
    """Returns how much places of each colour are to count.

    Most pictures are greyish for the most part. What is rare counts more, so
    that a network does not find it best to be grey.

    Args:
        prior: Float tensor of shape `(bins,)`: how often each bin occurs, in
            sum 1.
        mixing: Float in `[0, 1]`. Share of a uniform distribution that is mixed
            in; 1 weights all alike. Defaults to `0.5`.
        power: Float, not negative. How much rare colours count more. Defaults
            to `1.0`.

    Returns:
        Float32 tensor of shape `(bins,)`, whose mean by the prior is 1. Without
        `mixing`, bins that never occur count as the rarest that does.

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), section
      2.2
    """
    check_number("mixing", mixing, "[0, 1]")
    check_non_negative("power", power)
    prior = ops.cast(prior, "float32")
    mixed = (1.0 - mixing) * prior + mixing / prior.shape[0]
    rarest = ops.min(ops.where(mixed > 0, mixed, 1.0))
    # Relative to it no power is infinite.
    weights = ops.power(ops.maximum(mixed / rarest, 1.0), -power)
    return weights / ops.sum(prior * weights)
