from keras_capi.convert.families import read_checkpoint
from keras_capi.convert.read_values import read_values
from keras_capi.convert.torch_checkpoint import assign
from keras_capi.paths import as_path


def load_torch_weights(model, path):
    """Loads all weights of a training from an authors' PyTorch checkpoint.

    Use it to continue a training from a published checkpoint, or to inspect its
    decoder or head. It loads encoder and decoder of MAE; student, teacher,
    their heads and the centers of DINO, iBOT and DINOv2; student, teacher and
    predictor of I-JEPA; student, teacher, and head or decoder of data2vec and
    data2vec 2.0; encoder and head of BEiT and SimMIM; and DALL-E's tokenizer.
    Checkpoints of CAPI and AIM are refused. The state of the optimizer is not
    loaded.

    Args:
        model: A method such as `keras_capi.methods.MAE` or
            `keras_capi.methods.DINO`, with the architecture of the checkpoint.
        path: String or path. A `.pth` file, read as by
            `keras_capi.convert.load_torch_checkpoint`.

    Raises:
        ImportError: If torch, which reads the format, is not installed.
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read, is not of the method of the
            model, or a tensor is missing, unexpected or misshapen. The model
            then remains unchanged.

    Example:

    >>> path = "mae_visualize_vit_large.pth"
    >>> encoder = keras_capi.convert.load_torch_checkpoint(path)
    >>> model = keras_capi.methods.MAE(encoder)
    >>> keras_capi.convert.load_torch_weights(model, path)
    """
    path = as_path(path)
    family, tensors = read_checkpoint(path)
    family.check_model(model, path)
    state = read_values(family.select_model(tensors, path), path)
    assign(family, family.paired_model, state, model, path)
