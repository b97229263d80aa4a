"""Recognises the method of a checkpoint by the names in it."""

from keras_capi.convert import aim_keys
from keras_capi.convert import beit_keys
from keras_capi.convert import capi_keys
from keras_capi.convert import dalle_keys
from keras_capi.convert import data2vec2_keys
from keras_capi.convert import data2vec_keys
from keras_capi.convert import dino_keys
from keras_capi.convert import dinov2_keys
from keras_capi.convert import ibot_keys
from keras_capi.convert import ijepa_keys
from keras_capi.convert import mae_keys
from keras_capi.convert import simmim_keys
from keras_capi.convert.plain_names import plain_names
from keras_capi.convert.read_tensors import read_tensors

# One module for each, tried in this order: DINO's plain encoders look like many
# others, data2vec's names are SimMIM's and more, and BEiT has another head.
FAMILIES = (
    capi_keys,
    aim_keys,
    dinov2_keys,
    data2vec2_keys,
    data2vec_keys,
    beit_keys,
    simmim_keys,
    ibot_keys,
    mae_keys,
    dino_keys,
    ijepa_keys,
    dalle_keys,
)
KNOWN = ", ".join(family.NAME for family in FAMILIES)
TRAINING_STATE = {name for family in FAMILIES for name in family.TRAINING_STATE}


def read_checkpoint(path):
    """Reads the tensors of a checkpoint, and recognises their method.

    Args:
        path: `pathlib.Path`.

    Returns:
        Tuple of the family, one of `FAMILIES`, and a dictionary from plain name
        to torch tensor.

    Raises:
        ValueError: If the file cannot be read, or is of no known family.
    """
    tensors = plain_names(read_tensors(path, TRAINING_STATE), path)
    for family in FAMILIES:
        if family.matches(tensors):
            return family, tensors
    raise ValueError(
        f"{path} must be a checkpoint of one of these methods' authors, which "
        f"its keys tell: {KNOWN}. Received: {sorted(tensors)[:10]}"
    )
