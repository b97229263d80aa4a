"""Encodes colours as shares of the nearest bins, and decodes them."""

from keras import ops

from keras_capi.validation import check_non_negative
from keras_capi.validation import check_number
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer


def encode_colors(colors, bins, num_neighbors=10, deviation=5.0):
    """Spreads each colour over its nearest bins.

    Args:
        colors: Float tensor of shape `(..., 2)`.
        bins: Float tensor of shape `(bins, 2)`.
        num_neighbors: Integer. Number of bins that each colour is spread over.
            Defaults to `10`.
        deviation: Float. The shares follow a normal distribution of the
            distance, with this standard deviation. Defaults to `5.0`.

    Returns:
        Tuple of two tensors of shape `(..., num_neighbors)`, nearest first: the
        indices of the bins, int32, and their shares, float32, which sum to 1.

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
    # Not from products, whose difference would lose digits.
    distances = ops.square(colors[..., :1] - bins[:, 0]) + ops.square(
        colors[..., 1:] - bins[:, 1]
    )
    nearest, indices = ops.top_k(-distances, num_neighbors)
    # Relative to the nearest, as all may be far. It is the first, but XLA would
    # sort all bins if it were sliced from the result.
    nearest = nearest - ops.max(nearest, axis=-1, keepdims=True)
    shares = ops.exp(nearest / (2.0 * deviation**2))
    shares = shares / ops.sum(shares, axis=-1, keepdims=True)
    return ops.cast(indices, "int32"), shares


def annealed_mean(logits, bins, temperature=0.38):
    """Returns one colour for the scores of all bins.

    A compromise between the most likely colour, which flickers from pixel to
    pixel, and the mean, which is greyish.

    Args:
        logits: Float tensor of shape `(..., bins)`.
        bins: Float tensor of shape `(bins, 2)`.
        temperature: Float. Divides the scores. 1 gives the mean; the limit 0
            the most likely colour. Defaults to `0.38`.

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
    """Returns the weight of each colour bin in the loss.

    Most pixels of pictures are greyish. Rare colours get higher weights, so
    that grey is not always the best prediction.

    Args:
        prior: Float tensor of shape `(bins,)`: how often each bin occurs,
            summing to 1.
        mixing: Float in `[0, 1]`. Share of a uniform distribution that is mixed
            in. With 1 all weights are equal. Defaults to `0.5`.
        power: Float, not negative. The higher, the more rare colours count.
            Defaults to `1.0`.

    Returns:
        Float32 tensor of shape `(bins,)`, whose mean under the prior is 1.
        Without `mixing`, bins that never occur get the weight of the rarest
        that does.

    Reference:

    - [Colorful image colorization](https://arxiv.org/abs/1603.08511), section
      2.2
    """
    check_number("mixing", mixing, "[0, 1]")
    check_non_negative("power", power)
    # TensorFlow does not multiply float32 by NumPy's floats, of 64 bits.
    mixing, power = float(mixing), float(power)
    prior = ops.cast(prior, "float32")
    mixed = (1.0 - mixing) * prior + mixing / prior.shape[0]
    rarest = ops.min(ops.where(mixed > 0, mixed, 1.0))
    # Relative to the rarest, so that no power is infinite.
    weights = ops.power(ops.maximum(mixed / rarest, 1.0), -power)
    return weights / ops.sum(prior * weights)
