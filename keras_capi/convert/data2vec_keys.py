"""What the weights of data2vec are called by its authors."""

from keras_capi.convert import simmim_keys
from keras_capi.convert.plain_names import choose_part
from keras_capi.convert.plain_names import renamed
from keras_capi.convert.vit_checkpoint import check_method
from keras_capi.convert.vit_keys import INDEX
from keras_capi.convert.vit_keys import linear_keys
from keras_capi.convert.vit_keys import pair_entries
from keras_capi.convert.vit_keys import vit_entries
from keras_capi.methods.data2vec import Data2Vec

NAME = "data2vec"
TRAINING_STATE = ("optimizer", "epoch", "scaler", "args")
PARTS = ("student", "teacher")
# The prefix of the teacher's names. Those of the student have none.
TEACHER = "model_ema."
HEAD = "lm_head."
MASK_TOKEN = "mask_token"

make_encoder = simmim_keys.make_encoder
paired_encoder = simmim_keys.paired_encoder


def matches(tensors):
    """Tells whether tensors, by their plain names, are of a data2vec training.

    Bare encoders have the names of SimMIM's, and are the same networks. So are
    trainings of BEiT, but their heads predict tokens.
    """
    names = {_split(key)[1]: key for key in tensors}
    key = names.get(f"{HEAD}weight")
    if key is None:
        return False
    shape = tensors[key].shape
    return len(shape) == 2 and shape[0] == shape[1]


def select_encoder(tensors, part, path):
    """Picks the weights of one encoder.

    Args:
        tensors: Dictionary, as returned by `plain_names`.
        part: `"teacher"` or `"student"`: which encoder to use, if there are
            both.
        path: Path of the file, for errors.

    Returns:
        The weights by their names within the encoder, and, with the part in
        front, any that belong neither to an encoder nor to a head.
    """
    splits = {
        key: _split(key)
        for key in _without_indices(tensors)
        if not _is_beside(_split(key)[1])
    }
    names = choose_part(splits, part)
    return renamed({key: tensors[key] for key in names}, names, path)


def check_model(model, path):
    """Raises a `ValueError` unless a model is a Data2Vec around a ViT."""
    check_method(model, Data2Vec, path)


def select_model(tensors, path):
    """Picks all weights: of student and teacher, with their heads."""
    names = {key: ".".join(_split(key)) for key in _without_indices(tensors)}
    return renamed({key: tensors[key] for key in names}, names, path)


def paired_model(state, model):
    """Pairs all weights of a method with arrays.

    Args:
        state: Dictionary from names, such as `student.lm_head.bias`, to arrays.
        model: `keras_capi.methods.Data2Vec`.

    Returns:
        List of pairs of a variable and an array of its shape.
    """
    return pair_entries(data2vec_entries(model), state)


def data2vec_entries(model):
    """Returns the names of the weights of student and teacher.

    Args:
        model: `keras_capi.methods.Data2Vec`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    return {
        f"{part}.{name}": entry
        for part in PARTS
        for name, entry in network_entries(model, part).items()
    }


def network_entries(model, part):
    """Returns the names of the weights of an encoder, its token and head.

    Args:
        model: `keras_capi.methods.Data2Vec`.
        part: `"student"` or `"teacher"`.

    Returns:
        Dictionary from names to pairs, see `pair_entries`.
    """
    encoder, token, head = {
        "student": (model.encoder, model.mask_token, model.head),
        "teacher": (
            model.teacher,
            model.teacher_mask_token,
            model.teacher_head,
        ),
    }[part]
    return {
        # Layer scales have the names of BEiT's networks.
        **vit_entries(encoder, _scale_names(encoder)),
        MASK_TOKEN: (token.token, lambda x: x.reshape(1, -1)),
        **linear_keys(HEAD.removesuffix("."), head),
    }


def _scale_names(encoder):
    return {
        f"blocks.{index}.gamma_{number}"
        for index in range(encoder.num_layers)
        for number in (1, 2)
    }


def _split(key):
    """Splits a key into its part and the rest."""
    if key.startswith(TEACHER):
        return "teacher", key.removeprefix(TEACHER)
    return "student", key


def _is_beside(name):
    """Returns whether a name belongs to a part other than the encoder."""
    return name == MASK_TOKEN or name in (f"{HEAD}weight", f"{HEAD}bias")


def _without_indices(tensors):
    """Leaves out the indices of position tables, which follow from the size.

    Those of the published teachers are moving averages, truncated to integers,
    and some are therefore wrong.
    """
    return [key for key in tensors if key.rpartition(".")[2] != INDEX]
