import numpy as np
from keras import ops

from keras_capi.validation import check_images
from keras_capi.validation import check_seed
from keras_capi.visualization.check_pictures import to_unit
from keras_capi.visualization.picture_grid import scale_to_unit
from keras_capi.visualization.reconstruction_pictures import GREY
from keras_capi.visualization.reconstruction_pictures import as_colors
from keras_capi.visualization.reconstruction_pictures import check_same_shape
from keras_capi.visualization.restored_images import with_seed


def word_pictures(model, images, pictures=None, seed=0):
    """Shows images as the words of a tokenizer describe them.

    What is lost in these pictures cannot be learnt from the words. For a model
    that predicts the words of hidden patches, its best guesses are shown, too,
    next to the true words of visible patches.

    Masks come from a copy of the model's layer with its own seed, so that a
    training in progress is not disturbed.

    Args:
        model: `keras_capi.methods.DiscreteVAE`, or a `keras_capi.methods.BEiT`
            whose tokenizer is one.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them. Pass only a few.
        pictures: The images as they are drawn: uint8 array, or floats in [0,
            1], of the same shape. Decoded words are converted to colours in the
            same way. `None` scales `images` to that range. Defaults to `None`.
        seed: Integer. Seed of the masks. Defaults to `0`.

    Returns:
        Dictionary of float32 arrays in [0, 1], the columns for
        `keras_capi.visualization.picture_grid`: `"image"`; for BEiT
        `"visible"`, with hidden patches grey; `"words"`; and for BEiT
        `"predicted words"`. The last two have the image size of the tokenizer.

    Raises:
        ValueError: If the words of the model cannot be drawn, or the images do
            not fit it.

    Example:

    >>> model = keras_capi.methods.DiscreteVAE(8, 64, hidden_dim=16)
    >>> columns = keras_capi.visualization.word_pictures(
    ...     model, np.random.rand(4, 64, 64, 3).astype("float32")
    ... )
    >>> figure = keras_capi.visualization.picture_grid(columns)
    >>> figure.savefig("words.png")
    """
    check_seed("seed", seed, or_none=False)
    if not can_draw_words(model):
        raise ValueError(
            "The model must be a `keras_capi.methods.DiscreteVAE`, or have one "
            f"as its tokenizer. Received: {type(model).__name__}"
        )
    images = np.asarray(images, "float32")
    encoder = model.encoder
    check_images(images, encoder.patch_size, encoder.image_shape[-1])
    pictures = scale_to_unit(images) if pictures is None else pictures
    check_same_shape(images, pictures)
    pictures = to_unit(pictures)
    grid_size = encoder.grid_size(images.shape[1:])
    columns = {"image": pictures}
    tokenizer = getattr(model, "tokenizer", model)
    words = {"words": tokenizer.tokenize(images, grid_size)}
    if tokenizer is not model:
        masking = with_seed(model.masking, seed)
        mask = masking(images, grid_size=grid_size)["mask"]
        columns["visible"] = np.where(
            _enlarged(mask, grid_size, encoder.patch_size), GREY, pictures
        )
        scores = model.predict_logits(images, mask, training=False)
        guesses = ops.cast(ops.argmax(scores, axis=-1), "int32")
        words["predicted words"] = ops.where(mask, guesses, words["words"])
    for name, token_ids in words.items():
        decoded = tokenizer.decode(ops.reshape(token_ids, (-1, *grid_size)))
        decoded = ops.convert_to_numpy(ops.cast(decoded, "float32"))
        columns[name] = as_colors(decoded, images, pictures)
    return columns


def can_draw_words(model):
    """Returns whether the words of a model can be turned into pictures.

    Args:
        model: A model of `keras_capi.methods`.
    """
    return hasattr(getattr(model, "tokenizer", model), "decode")


def _enlarged(mask, grid_size, patch_size):
    """Turns a mask of patches into a mask of pixels."""
    mask = ops.convert_to_numpy(mask).reshape(-1, *grid_size, 1)
    return mask.repeat(patch_size, axis=1).repeat(patch_size, axis=2)
