"""Targets of a decoder that predicts pixels."""

from keras import ops

from keras_capi.ops.tokens import extract_patches


def pixel_targets(images, patch_size, normalize=True):
    """Cuts images into patches of pixels, as targets of the prediction.

    Args:
        images: Float tensor of shape `(batch, height, width, channels)`, height
            and width divisible by `patch_size`.
        patch_size: Integer. Side of a patch in pixels.
        normalize: Boolean. Whether to normalise each patch, over all channels
            together, to a mean of 0 and a deviation of 1: `(x - mean) /
            sqrt(variance + 1e-6)`, with the unbiased variance. Defaults to
            `True`.

    Returns:
        Float32 tensor of shape `(batch, rows * columns, patch_size**2 *
        channels)`: patches row-major, values in the order row, column, channel.

    Raises:
        ValueError: If `normalize` is set, but patches have a single value.

    Reference:

    - [MAE](https://arxiv.org/abs/2111.06377), section 3 (reconstruction target)
    """
    targets = ops.cast(extract_patches(images, patch_size), "float32")
    if not normalize:
        return targets
    count = targets.shape[-1]
    if count == 1:
        raise ValueError(
            "Patches of a single value have no deviation: use larger patches "
            "or pixels that are not normalised. Received: "
            f"patch_size={patch_size}, images.shape={tuple(images.shape)}"
        )
    centred = targets - ops.mean(targets, axis=-1, keepdims=True)
    squares = ops.sum(ops.square(centred), axis=-1, keepdims=True)
    return centred / ops.sqrt(squares / (count - 1) + 1e-6)
