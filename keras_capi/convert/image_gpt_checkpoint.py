import math
import re

import numpy as np

from keras_capi.convert.image_gpt_keys import CLASSIFIER
from keras_capi.convert.image_gpt_keys import START_TOKEN
from keras_capi.convert.image_gpt_keys import paired_image_gpt
from keras_capi.convert.read_values import check_finite
from keras_capi.convert.shapes import check_ranks
from keras_capi.encoders.image_gpt import ImageGPTEncoder
from keras_capi.methods.image_gpt import ImageGPT
from keras_capi.optional_imports import import_optional
from keras_capi.paths import PATH_TYPES
from keras_capi.paths import as_path

SCOPE = "model/"
# Moments of TensorFlow's optimizer, stored next to each weight.
MOMENTS = re.compile(r".*/Adam(_1)?")
WORDS, POSITIONS = "model/wte", "model/wpe"
KEYS = "model/h0/attn/k_proj"


def load_image_gpt_checkpoint(path, palette, **overrides):
    """Builds an image GPT from a checkpoint of its authors.

    These are checkpoints of TensorFlow 1: several files with a common prefix.
    They hold encoder and head, so that the model can generate images right
    away. The architecture is read from the shapes of the tensors. The start
    token tells whether the model is autoregressive or was trained like BERT. A
    classifier is left out.

    Args:
        path: String or path. The common prefix of the files, such as
            `model.ckpt-1000000`.
        palette: Path of the authors' `kmeans_centers.npy`, or float array of
            shape `(num_colors, channels)`, from -1 to 1: the colours that the
            tokens stand for.
        **overrides: Further arguments of `keras_capi.encoders.ImageGPTEncoder`,
            for what shapes do not tell, such as `feature_layer`, the
            `image_size` of images that are not square, or `causal=False`.

    Returns:
        A `keras_capi.methods.ImageGPT` on the active backend.

    Raises:
        ImportError: If TensorFlow, which reads the format, is not installed.
        FileNotFoundError: If the checkpoint or the palette does not exist.
        ValueError: If the checkpoint cannot be read, a tensor is missing,
            unexpected or misshapen, or the palette does not fit.

    Example:

    >>> model = keras_capi.convert.load_image_gpt_checkpoint(
    ...     "model.ckpt-1000000", "kmeans_centers.npy"
    ... )
    >>> pictures = model.sample(2)

    Reference:

    - [Image GPT weights](https://github.com/openai/image-gpt)
    """
    path = as_path(path)
    if isinstance(palette, PATH_TYPES):
        palette = np.load(as_path(palette, "palette"))
    state = _read(path)
    try:
        encoder = _make_encoder(state, np.shape(palette), overrides)
        if not encoder.causal:
            state.pop(START_TOKEN, None)
        model = ImageGPT(encoder, palette)
        pairs = paired_image_gpt(state, model)
    except ValueError as error:
        raise ValueError(
            f"{path} must hold an image GPT's weights, which fit the palette "
            f"and the overrides {overrides}. Received: {error}"
        ) from error
    for variable, array in pairs:
        variable.assign(array)
    return model


def _read(path):
    """Returns the weights of a checkpoint by the authors' names."""
    tensorflow = import_optional("tensorflow", extra="tensorflow")
    index = path.with_name(f"{path.name}.index")
    if not index.is_file():
        raise FileNotFoundError(
            "`path` must be what the names of a checkpoint's files have in "
            f"common. Received: path={path}, but there is no {index}"
        )
    try:
        reader = tensorflow.train.load_checkpoint(str(path))
        names = [
            name
            for name in reader.get_variable_to_shape_map()
            if name.startswith(SCOPE)
            and name != CLASSIFIER
            and not MOMENTS.fullmatch(name)
        ]
        state = {x: reader.get_tensor(x).astype("float32") for x in names}
    except (tensorflow.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read: not a checkpoint of TensorFlow, or "
            f"damaged ({reason})."
        ) from error
    check_finite(state, path)
    return state


def _make_encoder(state, palette_shape, overrides):
    check_ranks(state, {WORDS: (2,), POSITIONS: (2,), KEYS: (3,)})
    if len(palette_shape) != 2:
        raise ValueError(
            "a palette must have the shape (num_colors, num_channels), and "
            f"has {palette_shape}"
        )
    num_colors, hidden_dim = state[WORDS].shape
    num_places = len(state[POSITIONS])
    side = math.isqrt(num_places)
    if side * side != num_places and "image_size" not in overrides:
        raise ValueError(
            "`image_size` must be given, as positions are not those of a "
            f"square, but {num_places}"
        )
    arguments = {
        "num_layers": len(
            {name.split("/")[1] for name in state if name.endswith("/ln_1/g")}
        ),
        "hidden_dim": hidden_dim,
        "num_heads": len(state[KEYS]),
        "image_size": side,
        "num_channels": palette_shape[1],
        "num_colors": num_colors,
        "causal": START_TOKEN in state,
    }
    return ImageGPTEncoder(**{**arguments, **overrides})
