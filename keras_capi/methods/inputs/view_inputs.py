"""Views of images: checks of given ones, and their features."""

import keras
from keras import ops

from keras_capi.layers.views.multi_crop import MultiCrop
from keras_capi.methods.inputs.image_groups import check_image_groups
from keras_capi.methods.inputs.mask_form import MASK
from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.methods.inputs.wrong_names import refuse_other_names
from keras_capi.ops.known_axes import may_match
from keras_capi.training.built_part import built_part
from keras_capi.training.grid_size import static_grid_size
from keras_capi.training.tried_encoder import try_smaller_images
from keras_capi.training.tried_part import describe
from keras_capi.validation import check_images
from keras_capi.validation import is_array
from keras_capi.validation import known_shape

# Views of further sizes have names that end like these.
VIEW_NAMES = ("global_views", "local_views")
ENDING = "_views"


def list_views(inputs):
    """Returns the names of views in the order in which these are counted.

    The authors of SwAV allow for any number of sizes.

    Args:
        inputs: Dictionary.
    """
    usual = [name for name in VIEW_NAMES if name in inputs]
    further = [
        name
        for name in sorted(inputs)
        if name.endswith(ENDING) and name not in VIEW_NAMES
    ]
    return usual + further


def several_sizes(views, encoder, make, seed):
    """Returns a layer of views of several sizes, the user's or a default.

    Args:
        views: As for `built_views`, like `encoder`.
        make: Function from the encoder and the seed to the default layer.
        seed: Integer or `None`.

    Raises:
        ValueError: If it is not a layer, cannot be built for the encoder's
            images, or has views that the encoder cannot take.
    """
    views = built_views(views, encoder) or make(encoder, seed)
    if isinstance(views, MultiCrop) and views.num_local_views:
        try_smaller_images(encoder, views.local_size)
    return views


def built_views(views, encoder):
    """Builds a user's view layer, so that its weights exist before training.

    Args:
        views: Layer that turns images into views by name, or `None`.
        encoder: `keras_capi.encoders.Encoder`.

    Returns:
        The layer, or `None`.

    Raises:
        ValueError: If it is not a layer, or cannot be built for the encoder's
            images.
    """
    if views is None:
        return None
    shape = (None, *view_sizes(encoder)[0], encoder.image_shape[-1])
    return built_part("views", views, shape)


def check_views(inputs, encoder, others=()):
    """Raises a `ValueError` if arrays of images or views do not fit.

    Args:
        inputs: Dictionary of arrays.
        encoder: `keras_capi.encoders.Encoder`.
        others: Tuple of strings. What else the method takes. Defaults to `()`.
    """
    given = list_views(inputs)
    needed = ("global_views",) if given else ()
    names = {*VIEW_NAMES, *given, *others}
    refuse_other_names("views", names, inputs, needed)
    if not given:
        if is_array(inputs.get("images")):
            check_images(inputs["images"], 1, encoder.image_shape[-1])
        return
    counts = {}
    for name in given:
        if not is_array(inputs[name]):
            continue
        check_image_groups(name, inputs[name], "views", encoder)
        counts[name] = inputs[name].shape[0]
    if len(set(counts.values()) - {None}) > 1:
        raise ValueError(
            f"All kinds of views must be of the same images. Received: {counts}"
        )


def prepare_views(inputs, encoder, views):
    """Makes views of images, unless the user gave some.

    Args:
        inputs: Dictionary of tensors, with `"images"` or views.
        encoder: `keras_capi.encoders.Encoder`.
        views: Layer that turns images into views by name.

    Returns:
        Dictionary with views in place of `"images"`.
    """
    if "global_views" in inputs:
        return inputs
    inputs = dict(inputs)
    made = views(inputs.pop("images"))
    if not isinstance(made, dict) or "global_views" not in made:
        raise ValueError(
            "`views` must return a dictionary of `global_views`, of shape "
            "(batch, views, height, width, channels), and perhaps of "
            f"`local_views`. Received: {type(views).__name__}, which returns "
            f"{describe(made)}"
        )
    return {**inputs, **made}


def check_two_views(inputs):
    """Raises a `ValueError` unless there are two given views of each image.

    Args:
        inputs: Dictionary of arrays or tensors.
    """
    views = inputs.get("global_views")
    if list_views(inputs) not in ([], ["global_views"]) or (
        views is not None and tuple(views.shape[1:2]) != (2,)
    ):
        shapes = {name: tuple(x.shape) for name, x in inputs.items()}
        raise ValueError(
            "Views must be two of each image, `global_views` of shape (batch, "
            f"2, height, width, channels). Received: {shapes}"
        )


def check_view_masks(inputs, encoder):
    """Raises a `ValueError` if given masks do not fit the global views.

    Args:
        inputs: Dictionary of arrays.
        encoder: `keras_capi.encoders.Encoder`.
    """
    if "mask" not in inputs:
        return
    if "global_views" not in inputs:
        raise ValueError(
            "Masks must come with their views: `mask` needs `global_views`. "
            f"Received: {sorted(inputs)}"
        )
    views, mask = inputs["global_views"], inputs["mask"]
    if not is_array(views):
        return
    rows, columns = encoder.grid_size(views.shape[2:])
    expected = (*views.shape[:2], rows * columns)
    fits = is_array(mask) and (
        keras.backend.standardize_dtype(mask.dtype) == "bool"
        and may_match(known_shape("mask", mask), expected)
        and None not in mask.shape[1:]
    )
    if not fits:
        raise ValueError(
            "`mask` must be Boolean, of shape (batch, views, patches), here "
            f"{expected}. Received: {describe(mask)}"
        )


def mask_views(encoder, masking, views):
    """Draws a mask for each view.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        masking: Layer that turns images into `"mask"`.
        views: Float tensor of shape `(batch, views, height, width, channels)`.

    Returns:
        Boolean tensor of shape `(batch, views, patches)`.
    """
    images = _as_images(views)
    grid_size = static_grid_size(images, encoder)
    return _by_view(MASK.draw(masking, images, grid_size)["mask"], views)


def encode_views(encoder, views, training=False):
    """Returns the features of several views of each image.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        views: Float tensor of shape `(batch, views, height, width, channels)`.
        training: Boolean. Whether to apply stochastic depth.

    Returns:
        Tensor of shape `(batch, views, global_dim)`.
    """
    features = encoder(_as_images(views), training=training)["global"]
    return _by_view(features, views)


def encode_all_views(encoder, inputs, training=False):
    """Returns the features of the views of all sizes, large ones first.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary with views by name, see `encode_views`.
        training: Boolean. Whether to apply stochastic depth.

    Returns:
        Tensor of shape `(batch, views, global_dim)`.
    """
    features = [
        encode_views(encoder, inputs[name], training)
        for name in list_views(inputs)
    ]
    return ops.concatenate(features, axis=1)


def add_smaller_views(features, encoder, inputs, training=False):
    """Returns the features of the global views, and behind them of all others.

    Args:
        features: Tensor of shape `(batch, views, global_dim)`, of the global
            views.
        encoder: `keras_capi.encoders.Encoder`.
        inputs: Dictionary with views by name, see `encode_views`.
        training: Boolean. Whether to apply stochastic depth.

    Returns:
        Tensor of shape `(batch, more views, global_dim)`.
    """
    others = [
        encode_views(encoder, inputs[name], training)
        for name in list_views(inputs)
        if name != "global_views"
    ]
    return ops.concatenate([features, *others], axis=1) if others else features


def encode_view_patches(
    encoder, views, training=False, mask=None, mask_token=None
):
    """Returns the features of several views and of each of their patches.

    Args:
        encoder: `keras_capi.encoders.Encoder`.
        views: Float tensor of shape `(batch, views, height, width, channels)`.
        training: Boolean. Whether to apply stochastic depth.
        mask: Optional Boolean tensor of shape `(batch, views, patches)`: the
            patches whose tokens are replaced.
        mask_token: `keras_capi.layers.MaskToken` that replaces them.

    Returns:
        Two tensors of shapes `(batch, views, global_dim)` and `(batch, views,
        patches, hidden_dim)`.
    """
    tokens, positions = encoder.embed(_as_images(views))
    if mask is not None:
        mask = ops.reshape(mask, (-1, mask.shape[-1]))
        tokens = mask_token(tokens, mask)
    outputs = encoder.encode(tokens, positions, training=training)
    features = encoder.pool(outputs, training)
    return _by_view(features, views), _by_view(outputs["patches"], views)


def _as_images(views):
    return ops.reshape(views, (-1, *views.shape[2:]))


def _by_view(values, views):
    return ops.reshape(values, (-1, views.shape[1], *values.shape[1:]))
