"""The average of several layers of a network, as a target."""

from keras import ops

from keras_capi.ops.normalization import instance_normalize
from keras_capi.ops.normalization import layer_normalize


def _batch_normalize(x):
    """Normalises each channel over all tokens of the batch."""
    tokens = ops.reshape(x, (-1, x.shape[-1]))
    return ops.reshape(instance_normalize(tokens), ops.shape(x))


NORMALIZATIONS = {
    "batch": _batch_normalize,
    "instance": instance_normalize,
    "layer": layer_normalize,
}


def average_layers(layers, norms=("layer",), average_norms=("layer",)):
    """Averages the outputs of several layers for the same tokens.

    Each output is normalised first, so that none outweighs the others. Norms
    are given by name: `"layer"` is `layer_normalize`, over the channels of each
    token; `"instance"` is `instance_normalize`, over the tokens of each
    channel; and `"batch"` is over the tokens of all images on the device.

    Args:
        layers: Sequence of float tensors of shape `(batch, tokens, width)`.
        norms: Sequence of names: the norms applied to each layer, in order.
            Defaults to `("layer",)`.
        average_norms: Sequence of names: the norms applied to the average.
            Defaults to `("layer",)`.

    Returns:
        Float32 tensor of shape `(batch, tokens, width)`.

    Raises:
        ValueError: If there is no layer, or the name of a norm is unknown.

    Example:

    >>> layers = [keras.random.normal((2, 9, 8)) for _ in range(3)]
    >>> keras_capi.ops.average_layers(layers).shape  # (2, 9, 8)

    Reference:

    - [data2vec](https://arxiv.org/abs/2202.03555), section 3.3
    """
    norms = check_norms("norms", norms)
    average_norms = check_norms("average_norms", average_norms)
    if not len(layers):
        raise ValueError("`layers` must be one or more. Received: none")
    layers = [_normalize(layer, norms) for layer in layers]
    return _normalize(sum(layers) / len(layers), average_norms)


def check_norms(name, norms):
    """Returns names of norms as a tuple, or raises a `ValueError`.

    Args:
        name: String. The name of the argument.
        norms: The argument.
    """
    is_sequence = isinstance(norms, tuple | list)
    if not is_sequence or not all(norm in NORMALIZATIONS for norm in norms):
        raise ValueError(
            f"`{name}` must be a sequence of names among "
            f"{sorted(NORMALIZATIONS)}. Received: {name}={norms!r}"
        )
    return tuple(norms)


def _normalize(x, names):
    x = ops.cast(x, "float32")
    for name in names:
        x = NORMALIZATIONS[name](x)
    return x
