"""Images without masks."""

from keras_capi.validation import check_images
from keras_capi.validation import is_array


def check_images_alone(encoder, inputs):
    """Raises a `ValueError` unless there are only images, which fit.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary of arrays.
    """
    if set(inputs) != {"images"}:
        raise ValueError(
            "This method takes no masks: inputs must have only the key "
            "'images'. Leave out what a data set has besides, such as labels: "
            '`dataset.map(lambda x: x["images"])`. '
            f"Received: {sorted(inputs)}"
        )
    images = inputs["images"]
    if is_array(images):
        check_images(images, encoder.patch_size, encoder.image_shape[-1])
