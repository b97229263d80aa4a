"""What the weights of DALL-E's tokenizer are called by its authors."""

import numpy as np

from keras_capi.convert.plain_names import renamed
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.tokenizers.dalle_tokenizer import DALLETokenizer

NAME = "DALL-E"
TRAINING_STATE = ()
STEM = "blocks.input.w"
# The prefixes of names if the file also has the decoder.
ENCODER, DECODER = "encoder.", "decoder."


def matches(tensors):
    """Tells whether tensors, by their plain names, are of a tokenizer."""
    return STEM in tensors or ENCODER + STEM in tensors


def select_encoder(tensors, part, path):
    """Raises a `ValueError`: a tokenizer has no encoder to pretrain."""
    raise ValueError(
        f"{path} must hold an encoder. Received: DALL-E's tokenizer, which "
        "`keras_capi.convert.load_torch_weights` loads into a "
        "`keras_capi.tokenizers.DALLETokenizer`"
    )


def check_model(model, path):
    """Raises a `ValueError` unless a model is a DALLETokenizer."""
    if not isinstance(model, DALLETokenizer):
        raise ValueError(
            f"`model` must be a `DALLETokenizer`, whose weights {path} holds. "
            f"Received: {type(model).__name__}"
        )


def select_model(tensors, path):
    """Picks the weights of the tokenizer's encoder, without the decoder."""
    names = {
        key: key.removeprefix(ENCODER)
        for key in tensors
        if not key.startswith(DECODER)
    }
    return renamed({key: tensors[key] for key in names}, names, path)


def paired_model(state, model):
    """Pairs the weights of a tokenizer with arrays.

    Args:
        state: Dictionary from the authors' names to arrays.
        model: `keras_capi.tokenizers.DALLETokenizer`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    return pair_entries(dalle_entries(model), state)


def dalle_entries(model):
    """Returns the names of the weights of a tokenizer, or of its decoder.

    Args:
        model: `keras_capi.tokenizers.DALLETokenizer` or `DALLEDecoder`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    entries = {
        **_keys("blocks.input", model.stem),
        **_keys("blocks.output.conv", model.head),
    }
    for index, block in enumerate(model.blocks):
        group, number = divmod(index, model.num_blocks)
        prefix = f"blocks.group_{group + 1}.block_{number + 1}"
        for place, convolution in enumerate(block.convolutions, start=1):
            entries |= _keys(f"{prefix}.res_path.conv_{place}", convolution)
        if block.shortcut is not None:
            entries |= _keys(f"{prefix}.id_path", block.shortcut)
    return entries


def convolution_keys(names, layer):
    """Returns the names of the weights of a convolution, transposed or not.

    Args:
        names: Tuple of two strings: of the kernel, and of the bias.
        layer: `keras.layers.Conv2D` or `keras.layers.Conv2DTranspose`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    kernel, bias = names
    return {
        kernel: (layer.kernel, lambda x: np.transpose(x, (2, 3, 1, 0))),
        bias: (layer.bias, lambda x: x),
    }


def _keys(name, layer):
    return convolution_keys((f"{name}.w", f"{name}.b"), layer)
