"""Clipping gradients by the norms of groups of them."""

from keras import ops

from keras_capi import backend


def clip_by_norms(gradients, networks, clip_norm):
    """Clips the gradients of each network by their common norm, as torch does.

    Each is multiplied by `min(1, clip_norm / (norm + 1e-6))`.

    Args:
        gradients: List of tensors.
        networks: List of as many hashable objects: the network that each
            belongs to.
        clip_norm: Float.

    Returns:
        List of tensors.
    """
    gradients, scale = backend.share_gradients(gradients)
    norms = {}
    for network, norm in zip(
        networks, backend.gradient_norms(gradients), strict=True
    ):
        norms.setdefault(network, []).append(norm)
    factors = {}
    for network, parts in norms.items():
        norm = ops.sqrt(ops.sum(ops.square(ops.stack(parts)))) * scale
        factors[network] = ops.minimum(1.0, clip_norm / (norm + 1e-6))
    return [
        ops.multiply(gradient, ops.cast(factors[network], gradient.dtype))
        for gradient, network in zip(gradients, networks, strict=True)
    ]
