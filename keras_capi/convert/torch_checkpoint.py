import numpy as np

from keras_capi.convert.families import KNOWN
from keras_capi.convert.families import read_checkpoint
from keras_capi.convert.read_values import read_values
from keras_capi.paths import as_path
from keras_capi.validation import check_choice

PARTS = ("student", "teacher")


def load_torch_checkpoint(path, part="teacher", **overrides):
    """Builds an encoder from a PyTorch checkpoint of a method's authors.

    The method is recognised by the names in the file (AIM, BEiT, CAPI,
    data2vec, data2vec 2.0, DINO, DINOv2, iBOT, I-JEPA, MAE or SimMIM), and the
    architecture by the shapes of the tensors. The file is loaded without
    running any code in it. It may be:

    - CAPI: the published files, and checkpoints of the training code.
    - MAE: encoders, with or without decoder, and fine-tuned ones. Those that
      average the patches have no final norm of the tokens, so that the
      encoder's keeps its initial values; use the features of `encode(...,
      normalize=False)`.
    - DINO, iBOT: encoders, and full checkpoints. Vision transformers only.
    - DINOv2: encoders, including those with registers or gated MLPs, and
      checkpoints of trainings.
    - data2vec: checkpoints of trainings with student and teacher, single
      networks, and encoders.
    - data2vec 2.0: likewise, for images, and fine-tuned encoders.
    - I-JEPA: the published files, which hold all networks, and bare encoders.
    - BEiT: checkpoints of trainings, encoders and fine-tuned encoders.
    - AIM: the published encoders, with or without their attentive probe.
    - SimMIM: encoders, checkpoints of trainings and fine-tuned encoders. Vision
      transformers only.

    Decoders, heads and optimizers in the file are left out.
    `keras_capi.convert.load_torch_weights` also loads decoders and heads.

    Args:
        path: String or path. A `.pth` file.
        part: `"teacher"` or `"student"`: which encoder to use of a checkpoint
            with both. The teacher has the better features. Defaults to
            `"teacher"`.
        **overrides: Further arguments of the encoder that is returned, for what
            shapes do not tell, such as `drop_path_rate=0.0` or
            `register_coordinates="zeros"`; `image_shape` for images that are
            not square, or for AIM not of 224 pixels; or `num_heads` if heads
            are not as published: of size 64, for AIM of size 128, and 16 heads
            for encoders of width 1280 or 1408.

    Returns:
        A `keras_capi.encoders.CAPIBackbone`, `AIMEncoder` or `ViT` on the
        active backend.

    Raises:
        ImportError: If torch, which reads the format, is not installed.
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read or is of an unknown method, or a
            tensor is missing, unexpected or misshapen.

    Example:

    >>> backbone = keras_capi.convert.load_torch_checkpoint(
    ...     "capi_vitl14_in1k.pth"
    ... )

    Reference:

    - [AIM weights](https://github.com/apple/ml-aim)
    - [CAPI weights](https://github.com/facebookresearch/capi)
    - [MAE weights](https://github.com/facebookresearch/mae)
    - [DINO weights](https://github.com/facebookresearch/dino)
    - [DINOv2 weights](https://github.com/facebookresearch/dinov2)
    - [I-JEPA weights](https://github.com/facebookresearch/ijepa)
    """
    check_choice("part", part, PARTS)
    path = as_path(path)
    family, tensors = read_checkpoint(path)
    state = read_values(family.select_encoder(tensors, part, path), path)
    # LoRA weights are added on top of the loaded ones.
    lora_rank = overrides.get("lora_rank")
    try:
        encoder = family.make_encoder(
            state, path, {**overrides, "lora_rank": None}
        )
    except ValueError as error:
        raise ValueError(
            f"{path} does not describe an encoder, with the overrides "
            f"{overrides}: {error}"
        ) from error
    assign(family, family.paired_encoder, state, encoder, path)
    if lora_rank is not None:
        encoder.enable_lora(lora_rank)
    return encoder


def assign(family, pair, state, model, path):
    """Assigns the arrays of a file to a model.

    Args:
        family: One of `FAMILIES`.
        pair: Function from arrays and model to pairs of variable and array.
        state: Dictionary from name to array.
        model: The model or encoder that gets the arrays.
        path: Path of the file, for the error.
    """
    try:
        pairs = pair(state, model)
    except ValueError as error:
        raise ValueError(
            f"The weights in {path}, by their keys of {family.NAME}, do not "
            f"fit: {error} (Known are the checkpoints of {KNOWN}.)"
        ) from error
    for variable, array in pairs:
        # On JAX the variable may be the array's own memory, which here is the
        # file: it would change with the file.
        variable.assign(np.array(array))
