from keras_capi import backend


def check_several_images(model, batch_size, remedy):
    """Raises a `ValueError` for batches of one image, if a loss needs more.

    Such a loss is the same for any features, so that nothing would be learned.
    The last batch of an epoch may hold one image.

    Args:
        model: The method, for the error.
        batch_size: Integer, or `None` if it is not known.
        remedy: String. What to do.
    """
    if batch_size == 1 and backend.num_processes() == 1:
        raise ValueError(
            f"`{type(model).__name__}` compares the images of a batch, so "
            f"batches must have 2 images or more: {remedy}. "
            "Received: batches of 1 image"
        )
