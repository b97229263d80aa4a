"""The standard vision transformer of a size."""

from benchmarks.speed import SIZES


def make_vit(options, image_size=None, **arguments):
    """Returns a `keras_capi.encoders.ViT`.

    Args:
        options: The parsed command line.
        image_size: Integer. Side of the images, or `None` for the options'.
        **arguments: Other arguments of the encoder.
    """
    import keras_capi

    width, heads, layers, _, patch_size = SIZES[options.size]
    size = image_size or options.image_size
    return keras_capi.encoders.ViT(
        patch_size,
        layers,
        width,
        heads,
        image_shape=(size, size, 3),
        **arguments,
    )
