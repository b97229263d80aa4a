"""Patches of images and pairs of them, made or given by the user."""

import keras
from keras import ops

from keras_capi.layers.views.patch_grid import GRID_SIDE
from keras_capi.methods.inputs.image_groups import check_image_groups
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.methods.inputs.wrong_names import refuse_other_names
from keras_capi.ops.known_axes import may_match
from keras_capi.ops.positions.neighbor_pairs import NUM_RELATIONS
from keras_capi.ops.positions.neighbor_pairs import neighbor_pairs
from keras_capi.ops.value_range import check_value_range
from keras_capi.training.tried_part import describe
from keras_capi.validation import check_images
from keras_capi.validation import is_array

NAMES = ("patches", "pairs", "labels")
PAIRS, LABELS = neighbor_pairs(GRID_SIDE, GRID_SIDE)


def default_crop_size(encoder):
    """Returns the side of patches that fits an encoder.

    Args:
        encoder: `keras_capi.encoders.Encoder`.

    Returns:
        Integer: about three sevenths of the encoder's image size, or 96, and a
            multiple of its patch size.
    """
    _, sizes = view_sizes(encoder)
    return min(sizes)


def check_pair_inputs(encoder, inputs):
    """Raises a `ValueError` if arrays of images or patches do not fit.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary of arrays.
    """
    refuse_other_names("patches", NAMES, inputs, ("patches",))
    if "patches" not in inputs:
        if is_array(inputs.get("images")):
            check_images(inputs["images"], 1, encoder.image_shape[-1])
        return
    patches = inputs["patches"]
    if not is_array(patches):
        return
    check_image_groups("patches", patches, "patches", encoder, may_vary=True)
    if ("pairs" in inputs) != ("labels" in inputs) or (
        "pairs" not in inputs and patches.shape[1] != GRID_SIDE**2
    ):
        raise ValueError(
            "Patches that are not a 3 x 3 grid must come with `pairs` and "
            f"`labels`. Received: {sorted(inputs)}, patches of shape "
            f"{tuple(patches.shape)}"
        )
    if "pairs" in inputs:
        _check_pairs(inputs["pairs"], inputs["labels"], *patches.shape[:2])


def _check_pairs(pairs, labels, num_images, num_patches):
    if not is_array(pairs) or not is_array(labels):
        return
    dtypes = [keras.backend.standardize_dtype(x.dtype) for x in (pairs, labels)]
    is_right = (
        may_match(tuple(pairs.shape), (num_images, None, 2))
        and may_match(tuple(labels.shape), tuple(pairs.shape[:-1]))
        and all(keras.backend.is_int_dtype(dtype) for dtype in dtypes)
    )
    if not is_right:
        raise ValueError(
            "`pairs` and `labels` must be integers of shapes (batch, pairs, 2) "
            f"and (batch, pairs). Received: dtypes {dtypes}, shapes "
            f"{tuple(pairs.shape)} and {tuple(labels.shape)}, for "
            f"{num_images} images"
        )
    check_value_range("pairs", pairs, num_patches, "the patches of an image")
    check_value_range("labels", labels, NUM_RELATIONS, "places of a neighbour")


def prepare_pairs(encoder, views, inputs):
    """Cuts patches out of images, unless the user gave some.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        views: Layer that turns images into `{"patches": ...}`.
        inputs: Dictionary with `"images"` or `"patches"`, and optionally
            `"pairs"` and `"labels"`.

    Returns:
        Dictionary of `"patches"`, `"pairs"` and `"labels"`, see
        `keras_capi.methods.RelativePosition`.
    """
    check_pair_inputs(encoder, inputs)
    if "patches" not in inputs:
        inputs = views(inputs["images"])
        if not isinstance(inputs, dict) or "patches" not in inputs:
            raise ValueError(
                "`views` must return a dictionary of `patches`, of shape "
                "(batch, patches, height, width, channels). Received: "
                f"{type(views).__name__}, which returns {describe(inputs)}"
            )
        check_pair_inputs(encoder, inputs)
    if "pairs" in inputs:
        return inputs
    batch_size = ops.shape(inputs["patches"])[0]
    pairs, labels = (
        ops.repeat(ops.convert_to_tensor(x)[None], batch_size, axis=0)
        for x in (PAIRS, LABELS)
    )
    return {"patches": inputs["patches"], "pairs": pairs, "labels": labels}
