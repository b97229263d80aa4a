from keras_capi.data.augmented_images import AugmentedImages


def raw_images(dataset, image_size, max_images, **crops):
    """Returns images from all over a data set, cropped but not normalised.

    Args:
        dataset: `keras_capi.data.AugmentedImages`.
        image_size: Integer. Height and width of the result.
        max_images: Integer. How many to return, if there are as many.
        **crops: `scale` and `aspect_ratio`, to replace those of the data set.

    Returns:
        Uint8 array of shape `(count, image_size, image_size, 3)`.
    """
    raw = AugmentedImages(
        dataset.source,
        image_size,
        min(len(dataset.source), max_images),
        **{
            "scale": dataset.scale,
            "aspect_ratio": dataset.aspect_ratio,
            **crops,
        },
        normalization=lambda images: images,
        key=dataset.key,
        seed=dataset.seed,
        max_skipped=dataset.max_skipped,
        white_level=dataset.white_level,
    )
    (images,) = raw.make_batch(0, 0)
    return images.astype("uint8")
