"""Checks of images that come with own masks."""

from keras_capi.methods.patch_indices import check_index_arrays
from keras_capi.methods.patch_indices import check_index_shapes
from keras_capi.validation import check_images
from keras_capi.validation import is_array


def check_masked_inputs(backbone, inputs):
    """Raises a `ValueError` if arrays of images, or their masks, do not suit.

    Args:
        backbone: `CAPIBackbone`, the student.
        inputs: Dictionary of arrays.
    """
    images = inputs.get("images")
    if images is not None and not is_array(images):
        return
    if len(inputs) > 1:
        check_index_shapes(inputs)
    patch_size = backbone.patch_size
    check_images(images, patch_size, backbone.image_shape[-1])
    if len(inputs) > 1:
        rows, columns = (size // patch_size for size in images.shape[1:3])
        check_index_arrays(inputs, rows * columns)
