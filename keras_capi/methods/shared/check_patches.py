from keras_capi.encoders.encoder import Encoder


def check_patches(encoder):
    """Raises a `ValueError` unless an encoder has the patches of its images.

    What is predicted are their pixels. `ImageGPTEncoder`, for example, resizes
    the images, so that its features belong to other patches.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
    """
    # Two, as an encoder whose number never varies may have that of one.
    for shape in ((2, 3), (3, 2)):
        shape = tuple(count * encoder.patch_size for count in shape)
        expected = Encoder.grid_size(encoder, shape)
        found = tuple(encoder.grid_size(shape))
        if found != expected:
            raise ValueError(
                "`encoder` must have a feature for each patch of the images, "
                "whose pixels are predicted. Received: "
                f"{type(encoder).__name__}, which has {found} for images of "
                f"{expected} patches"
            )
