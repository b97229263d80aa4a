import numpy as np
from keras import ops

from keras_capi.validation import check_non_negative_integer
from keras_capi.visualization.reconstruction_pictures import GREY


def completion_pictures(model, images, num_given=None, temperature=1.0, seed=0):
    """Shows how a model completes images of which it is given a part.

    Completions are samples: other seeds give other ones. Pictures have the size
    of the model's small images, and the colours of its palette.

    Args:
        model: `keras_capi.methods.ImageGPT` around a causal encoder.
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them.
        num_given: Integer or `None`. How many pixels of the small image are
            given, in row-major order. `None` is half of them. Defaults to
            `None`.
        temperature: Float. Sampling temperature: below 1, likely colours are
            preferred. Defaults to `1.0`.
        seed: Integer. Seed of the sampling. Defaults to `0`.

    Returns:
        Dictionary of float32 arrays of shape `(samples, rows, columns,
        channels)`, in [0, 1]: `"image"`, `"given"`, with the rest in grey, and
        `"completion"`: the columns for `keras_capi.visualization.picture_grid`.

    Raises:
        ValueError: If the model cannot complete images, or the images do not
            fit it.

    Example:

    >>> encoder = keras_capi.encoders.ImageGPTEncoder(
    ...     1, 16, 2, image_size=4, num_colors=8
    ... )
    >>> model = keras_capi.methods.ImageGPT(encoder)
    >>> columns = keras_capi.visualization.completion_pictures(
    ...     model, np.random.rand(4, 64, 64, 3).astype("float32")
    ... )
    >>> figure = keras_capi.visualization.picture_grid(columns)
    >>> figure.savefig("completions.png")

    Reference:

    - [Chen et al., 2020](https://cdn.openai.com/papers/Generative_Pretraining_from_Pixels_V2.pdf),
      figure 1
    """
    if not hasattr(model, "complete"):
        raise ValueError(
            "The model must complete images, as `keras_capi.methods.ImageGPT` "
            f"does. Received: {type(model).__name__}"
        )
    rows, columns = model.encoder.image_size
    count = rows * columns
    if num_given is None:
        num_given = count // 2
    check_non_negative_integer("num_given", num_given)
    images = np.asarray(images, "float32")
    image, completion = (
        _as_picture(values, model.encoder.palette)
        for values in (
            model.complete(images, count),
            model.complete(images, num_given, temperature, seed),
        )
    )
    is_given = (np.arange(count) < num_given).reshape(rows, columns, 1)
    return {
        "image": image,
        "given": np.where(is_given, image, np.float32(GREY)),
        "completion": completion,
    }


def _as_picture(values, palette):
    """Undoes the normalisation of images."""
    values = ops.convert_to_numpy(values) * np.float32(
        palette.standard_deviation
    )
    return np.clip(values + np.float32(palette.mean), 0.0, 1.0)
