"""Trials of the user's own encoders, before any training."""

import keras

from keras_capi.training.tried_part import call_on
from keras_capi.training.tried_part import describe

BATCH = 2


def try_fewer_patches(encoder, size):
    """Tries if an encoder can leave out patches.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        size: Tuple of two integers: height and width of images.

    Raises:
        ValueError: If it fails, or has features for other patches.
    """
    rows, columns = encoder.grid_size(size)
    _try(
        encoder,
        size,
        "`encoder` must encode the visible patches alone, as this method "
        "leaves out the others: a network that needs all of them, such as one "
        "of convolutions, suits methods that replace patches, such as SimMIM",
        max(rows * columns // 4, 1),
    )


def try_smaller_images(encoder, size):
    """Tries if an encoder takes small views.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        size: Tuple of two integers: height and width of the views.

    Raises:
        ValueError: If it fails, or has features for other patches.
    """
    _try(
        encoder,
        size,
        "`encoder` must encode images of any size, as this method has small "
        "views: do so, or give views of one size, such as `views="
        "keras_capi.layers.MultiCrop(size, num_local_views=0)`",
    )


def _try(encoder, size, rule, num_visible=None):
    if not _is_own(encoder):
        return
    images = keras.KerasTensor(
        (BATCH, *size, encoder.image_shape[-1]), encoder.compute_dtype
    )
    tensors, (rows, columns) = [images], encoder.grid_size(size)
    count = num_visible or rows * columns
    if num_visible:
        tensors.append(keras.KerasTensor((BATCH, num_visible), "int32"))
    received = type(encoder).__name__
    try:
        patches = call_on(encoder.encode_images, tensors)["patches"]
    # A user's encoder may raise anything.
    except Exception as error:
        raise ValueError(
            f"{rule}. Received: {received}, which raises the error above for "
            f"{count} patches"
        ) from error
    expected = (BATCH, count, encoder.hidden_dim)
    if tuple(patches.shape) != expected:
        raise ValueError(
            f"{rule}. Received: {received}, which for {BATCH} images of "
            f"{count} patches returns {describe(patches)}"
        )


def _is_own(encoder):
    """Returns whether an encoder has steps of the user, and so needs trials."""
    steps = (type(encoder).embed, type(encoder).encode)
    return not all(step.__module__.startswith("keras_capi.") for step in steps)
