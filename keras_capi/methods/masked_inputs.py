"""Checks of what a `MaskedPrediction` is trained on."""

from keras_capi.methods.patch_indices import check_index_arrays
from keras_capi.methods.patch_indices import check_index_shapes
from keras_capi.validation import check_images
from keras_capi.validation import is_array


def check_inputs(backbone, inputs, **arguments):
    """Raises a `ValueError` if `fit` and the like cannot take what they got.

    Data sets are checked batch by batch instead, when they are read.

    Args:
        backbone: `CAPIBackbone`, the student.
        inputs: What `fit` takes as `x`.
        **arguments: Its other arguments.
    """
    check_no_weights(**arguments)
    if isinstance(inputs, list | tuple):
        raise ValueError(
            "Images must be one array of shape (count, height, width, "
            "channels): stack them. There are no labels to pass. "
            f"Received: a {type(inputs).__name__} of {len(inputs)}"
        )
    if not isinstance(inputs, dict) and not is_array(inputs):
        return
    inputs = inputs if isinstance(inputs, dict) else {"images": inputs}
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


def check_no_weights(
    sample_weight=None, class_weight=None, validation_data=None, **others
):
    """Raises a `ValueError` if samples are to be weighted.

    Args:
        sample_weight: What `fit` and the like take.
        class_weight: Likewise.
        validation_data: Likewise.
        **others: Their other arguments.
    """
    if isinstance(validation_data, tuple) and len(validation_data) == 3:
        sample_weight = validation_data[2]
    for name, weights in (
        ("sample_weight", sample_weight),
        ("class_weight", class_weight),
    ):
        if weights is not None:
            raise ValueError(
                "Without labels all images count alike: leave out "
                f"`{name}`, and let the data set yield more often what should "
                f"count for more. Received: {name} of type "
                f"{type(weights).__name__}"
            )
