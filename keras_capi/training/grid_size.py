def static_grid_size(images, encoder):
    """Returns the static numbers of rows and columns of patches.

    Args:
        images: Tensor of shape `(batch, height, width, channels)`.
        encoder: `keras_capi.encoders.Encoder`.

    Returns:
        Tuple of two integers.

    Raises:
        ValueError: If neither the images nor the encoder have a known size.
    """
    sizes = [
        size or known
        for size, known in zip(
            images.shape[1:3], encoder.image_shape[:2], strict=True
        )
    ]
    if None in sizes:
        raise ValueError(
            "Height and width of `images` must be known when the training "
            "step is compiled, and on TensorFlow be the same in all "
            "batches: resize or crop the images to one size, and give it "
            "to the encoder as `image_shape` if the data set does not "
            f"tell it. Received: images.shape={tuple(images.shape)}"
        )
    return encoder.grid_size(sizes)
