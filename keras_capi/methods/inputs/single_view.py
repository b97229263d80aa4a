"""One view of each image: random in training, otherwise the middle."""

from keras import ops

from keras_capi.methods.inputs.wrong_names import refuse_other_names
from keras_capi.validation import check_images
from keras_capi.validation import is_array

# A sixteenth at each side: of 256 pixels the middle 224 remain.
SHARE_OF_MARGIN = 16


def check_single_views(inputs, encoder):
    """Raises a `ValueError` if arrays of images or views do not fit.

    Args:
        inputs: Dictionary of arrays.
        encoder: `keras_capi.encoders.Encoder`.
    """
    refuse_other_names("views", ("views", "indices"), inputs)
    for name, size in (("images", 1), ("views", encoder.patch_size)):
        if is_array(inputs.get(name)):
            check_images(inputs[name], size, encoder.image_shape[-1])


def prepare_single_views(inputs, encoder, views, training):
    """Makes a view of each image, unless the user gave views.

    Args:
        inputs: Dictionary of tensors, with `"images"` or `"views"`.
        encoder: `keras_capi.encoders.Encoder`.
        views: Layer that makes one view of each image.
        training: Boolean. Whether the view is random.

    Returns:
        Dictionary with `"views"` in place of `"images"`.
    """
    check_single_views(inputs, encoder)
    if "views" in inputs:
        return inputs
    inputs = dict(inputs)
    images = inputs.pop("images")
    if not training:
        images = _cut_margins(images)
    return {**inputs, "views": views(images, training=bool(training))}


def _cut_margins(images):
    _, height, width, _ = ops.shape(images)
    top, left = height // SHARE_OF_MARGIN, width // SHARE_OF_MARGIN
    return images[:, top : height - top, left : width - left]
