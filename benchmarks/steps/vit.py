"""The standard vision transformer of a size."""

from benchmarks.speed import SIZES


def make_vit(options, **arguments):
    """Returns a `keras_capi.encoders.ViT`.

    Args:
        options: The parsed command line.
        **arguments: Other arguments of the encoder.
    """
    import keras_capi

    width, heads, layers, _, patch_size = SIZES[options.size]
    return keras_capi.encoders.ViT(
        patch_size,
        layers,
        width,
        heads,
        image_shape=(options.image_size, options.image_size, 3),
        **arguments,
    )
