import numpy as np
from keras import ops

from keras_capi.ops.tokens import extract_patches
from keras_capi.validation import check_images
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed
from keras_capi.visualization.check_pictures import to_unit
from keras_capi.visualization.picture_grid import scale_to_unit
from keras_capi.visualization.restored_images import restored_images
from keras_capi.visualization.restored_images import with_seed

GREY = 0.5


def reconstruction_pictures(
    model, images, pictures=None, batch_size=64, seed=0
):
    """Shows how a model reconstructs masked or corrupted images.

    Visible patches are shown as they are, since only hidden ones are predicted.
    A model that predicts normalised pixels does not predict the brightness and
    contrast of a patch. These are taken from the image, as by the authors of
    MAE; so trust the shapes, and not how well patches fit each other.

    For a model that restores corrupted images, the whole prediction is shown,
    beside its input.

    Masks and noise come from a copy of the model's layer with its own seed, so
    that a training in progress is not disturbed.

    Args:
        model: `keras_capi.methods.MAE`, or another model with `predict_pixels`.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        pictures: The images as they are drawn: uint8 array, or floats in [0,
            1], of the same shape. Predicted pixels are converted to colours in
            the same way. `None` scales `images` to that range. Defaults to
            `None`.
        batch_size: Integer. Defaults to `64`.
        seed: Integer. Seed of the masks or the noise. Defaults to `0`.

    Returns:
        Dictionary of float32 arrays of the shape of `images`, in [0, 1]:
        `"image"`, `"visible"`, with hidden patches grey, or `"corrupted"`, and
        `"reconstruction"`: the columns for
        `keras_capi.visualization.picture_grid`.

    Raises:
        ValueError: If the model predicts no pixels, or the images do not fit
            it.

    Example:

    >>> encoder = keras_capi.encoders.ViT(8, 2, 48, 4, image_shape=(64, 64, 3))
    >>> model = keras_capi.methods.MAE(encoder)
    >>> columns = keras_capi.visualization.reconstruction_pictures(
    ...     model, np.random.rand(4, 64, 64, 3).astype("float32")
    ... )
    >>> figure = keras_capi.visualization.picture_grid(columns)
    >>> figure.savefig("reconstructions.png")

    Reference:

    - [MAE](https://arxiv.org/abs/2111.06377), figures 2 and 3
    """
    check_positive_integer("batch_size", batch_size)
    check_seed("seed", seed, or_none=False)
    check_predicts_pixels(model)
    images = np.asarray(images, "float32")
    encoder = model.encoder
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    pictures = scale_to_unit(images) if pictures is None else pictures
    check_same_shape(images, pictures)
    pictures = to_unit(pictures)
    if hasattr(model, "corruption"):
        corruption = with_seed(model.corruption, seed)
        return {
            "image": pictures,
            **{
                name: as_colors(values, images, pictures)
                for name, values in restored_images(
                    model, corruption, images, batch_size
                ).items()
            },
        }
    masking = with_seed(model.masking, seed)
    predicted, is_visible, is_predicted = [], [], []
    for start in range(0, len(images), batch_size):
        for values, made in zip(
            (predicted, is_visible, is_predicted),
            _predict(model, masking, images[start : start + batch_size]),
            strict=True,
        ):
            values.append(made)
    predicted, is_visible, is_predicted = map(
        np.concatenate, (predicted, is_visible, is_predicted)
    )
    predicted = as_colors(predicted, images, pictures)
    return {
        "image": pictures,
        "visible": np.where(is_visible, pictures, GREY),
        "reconstruction": np.where(
            is_visible, pictures, np.where(is_predicted, predicted, GREY)
        ),
    }


def check_predicts_pixels(model):
    """Raises a `ValueError` unless a model predicts pixels.

    Args:
        model: A `keras.Model`.
    """
    if not hasattr(model, "predict_pixels"):
        raise ValueError(
            "The model must have `predict_pixels`, as `keras_capi.methods.MAE` "
            f"has. Received: {type(model).__name__}"
        )


def check_same_shape(images, pictures):
    """Raises a `ValueError` unless pictures have the shape of images.

    Args:
        images: Array.
        pictures: Array.
    """
    shapes = np.shape(images), np.shape(pictures)
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`pictures` must have the shape of `images`. Received: "
            f"pictures.shape={shapes[1]}, images.shape={shapes[0]}"
        )


def _predict(model, masking, images):
    """Returns predicted images, and masks of visible and predicted pixels."""
    patch_size = model.encoder.patch_size
    grid_size = (
        images.shape[1] // patch_size,
        images.shape[2] // patch_size,
    )
    masks = masking(ops.convert_to_tensor(images), grid_size=grid_size)
    outputs = model.predict_pixels(
        ops.convert_to_tensor(images), **masks, training=False
    )
    values = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    patches = ops.convert_to_numpy(extract_patches(images, patch_size))
    masks = {name: ops.convert_to_numpy(mask) for name, mask in masks.items()}
    predicted, is_visible, is_predicted = _spread(values, masks, patches.shape)
    # Models whose targets are plain pixels need not have this attribute.
    if getattr(model, "normalize_pixels", False):
        variance = patches.var(axis=-1, ddof=1, keepdims=True)
        predicted = predicted * np.sqrt(variance + 1e-6)
        predicted = predicted + patches.mean(axis=-1, keepdims=True)
    flags = (
        np.repeat(flag[..., None], patches.shape[-1], axis=-1)
        for flag in (is_visible, is_predicted)
    )
    return [_join(part, grid_size, patch_size) for part in (predicted, *flags)]


def _spread(values, masks, shape):
    """Returns the values of all patches, and masks of visible and predicted.

    What the model returns is either indices of visible and predicted patches,
    or flags of those that are replaced and predicted, or the length of the
    prefix before those predicted one by one.
    """
    if "prefix_length" in masks:
        is_given = np.arange(shape[1]) < masks["prefix_length"][:, None]
        # Each position predicts the next patch.
        return np.roll(values, 1, axis=1), is_given, ~is_given
    if "mask" in masks:
        return values, ~masks["mask"], masks["mask"]
    visible, hidden = masks["visible_indices"], masks["predict_indices"]
    rows = np.arange(shape[0])[:, None]
    predicted = np.zeros(shape, "float32")
    predicted[rows, hidden] = values[:, visible.shape[1] :]
    flags = np.zeros((2, *shape[:2]), bool)
    for flag, indices in zip(flags, (visible, hidden), strict=True):
        flag[rows, indices] = True
    return predicted, *flags


def _join(patches, grid_size, patch_size):
    """Joins patches to images: the inverse of `extract_patches`."""
    count, (rows, columns) = len(patches), grid_size
    patches = patches.reshape(count, rows, columns, patch_size, patch_size, -1)
    patches = patches.swapaxes(2, 3)
    return patches.reshape(count, rows * patch_size, columns * patch_size, -1)


def as_colors(values, images, pictures):
    """Converts values to colours as images were converted to pictures.

    The conversion is a factor and an offset for each channel.

    Args:
        values: Float array of shape `(samples, ..., channels)`.
        images: Float array of the same form.
        pictures: The pictures of the images, floats in [0, 1].
    """
    axes = (0, 1, 2)
    mean, target_mean = images.mean(axes), pictures.mean(axes)
    centred = images - mean
    variance = np.mean(centred**2, axes)
    covariance = np.mean(centred * (pictures - target_mean), axes)
    slope = covariance / np.maximum(variance, 1e-12)
    return np.clip((values - mean) * slope + target_mean, 0.0, 1.0)
