"""Sizes of views that fit an encoder."""

# Published sizes, and their ratio.
GLOBAL_SIZE = 224
LOCAL_RATIO = 96 / 224


def view_sizes(encoder):
    """Returns the sizes of large and small views that fit an encoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`.

    Returns:
        Two tuples of height and width: the encoder's image size, or 224, and
        about three sevenths of it, a multiple of the patch size.
    """
    patch_size = encoder.patch_size

    def round_to_patches(size):
        return max(round(size / patch_size), 1) * patch_size

    sizes = [
        size or round_to_patches(GLOBAL_SIZE)
        for size in encoder.image_shape[:2]
    ]
    local = tuple(round_to_patches(LOCAL_RATIO * size) for size in sizes)
    return tuple(sizes), local
