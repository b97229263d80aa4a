"""What the weights of BEiT are called by its authors."""

from keras_capi.convert import simmim_keys
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.beit import BEiT

NAME = "BEiT"
TRAINING_STATE = ("optimizer", "epoch", "scaler", "args")
HEAD = "lm_head"
MASK_TOKEN = "mask_token"

make_encoder = simmim_keys.make_encoder
paired_encoder = simmim_keys.paired_encoder
select_model = simmim_keys.select_model


def matches(tensors):
    """Tells whether tensors, by their plain names, are of a training of BEiT.

    Bare encoders have the names of SimMIM's, and are the same networks. So are
    trainings of data2vec, but their heads are as wide as the encoder.
    """
    return f"{HEAD}.weight" in tensors and simmim_keys.QUERY_BIAS in tensors


def select_encoder(tensors, part, path):
    """Picks the weights of the encoder: the only one, whatever `part` is."""
    return {
        key: value
        for key, value in select_model(tensors, path).items()
        if key not in (MASK_TOKEN, f"{HEAD}.weight", f"{HEAD}.bias")
    }


def check_model(model, path):
    """Raises a `ValueError` unless a model is a BEiT around a ViT."""
    check_method(model, BEiT, path)


def paired_model(state, model):
    """Pairs all weights of a method with arrays, except for its tokenizer.

    Args:
        state: Dictionary from the authors' names to arrays.
        model: `keras_capi.methods.BEiT`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    return pair_entries(beit_entries(model), state)


def beit_entries(model):
    """Returns the names of the weights of encoder, mask token and head.

    Args:
        model: `keras_capi.methods.BEiT`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    scales = {
        f"blocks.{index}.gamma_{number}"
        for index in range(model.encoder.num_layers)
        for number in (1, 2)
    }
    return {
        **vit_entries(model.encoder, scales),
        MASK_TOKEN: (model.mask_token.token, lambda x: x.reshape(1, -1)),
        **linear_keys(HEAD, model.head),
    }
