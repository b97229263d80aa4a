"""Features of an encoder by name, without computing others."""

import re

import keras
from keras import ops

from keras_capi.validation import check_layers

KINDS = ("global", "average", "prefix")
LAYER = re.compile(r"layer_([1-9][0-9]*)(?:_(global|average|prefix))?")
RULE = (
    "'layer_1', 'layer_1_global', 'layer_1_average', 'layer_1_prefix', "
    "'layer_2', ..."
)


def read_feature_name(backbone, name):
    """Returns the block number and the kind of feature that a name stands for.

    Args:
        backbone: `keras_capi.encoders.Encoder`.
        name: String.

    Returns:
        Tuple of an integer, or `None` for the encoder's output, and one of
        `"global"`, `"average"`, `"prefix"` and `"feature_map"`. `None` instead
        of the tuple if there is no such name.

    Raises:
        ValueError: If there is no such block.
    """
    match = LAYER.fullmatch(str(name))
    if match:
        number = int(match[1])
        check_layers((number,), backbone.num_layers)
        return number, match[2] or "feature_map"
    if name == backbone.prefix_name:
        name = "prefix"
    return (None, name) if name in (*KINDS, "feature_map") else None


def compute_features(backbone, images, features, training=None):
    """Computes features of images.

    Args:
        backbone: `keras_capi.encoders.Encoder`.
        images: Float tensor of shape `(batch, height, width, channels)`.
        features: Dictionary from any name to a result of `read_feature_name`.
        training: Boolean. Whether to apply stochastic depth.

    Returns:
        Dictionary of tensors.
    """
    layers = {number for number, _ in features.values() if number is not None}
    outputs = backbone.encode_images(
        images, layers=tuple(sorted(layers)), training=training
    )
    count = backbone.num_prefix_tokens

    def compute(number, kind):
        tokens = outputs
        if number is not None:
            layer = outputs[f"layer_{number}"]
            parts = {"prefix": layer[:, :count], "patches": layer[:, count:]}
            tokens = {**outputs, **parts}
        if kind == "global":
            return backbone.pool(tokens, training)
        if kind == "average":
            return ops.mean(tokens["patches"], axis=1)
        if kind == "prefix":
            return tokens["prefix"]
        return backbone.as_map(tokens["patches"], images)

    return {name: compute(*feature) for name, feature in features.items()}


def feature_specs(backbone, images, features):
    """Returns the shapes and types of what `compute_features` returns.

    Args:
        backbone: `keras_capi.encoders.Encoder`.
        images: Tensor or `keras.KerasTensor`.
        features: As for `compute_features`.

    Returns:
        Dictionary of `keras.KerasTensor`s.
    """
    outputs = backbone.compute_output_spec(images)
    batch_size, *_, width = outputs["feature_map"].shape
    specs = {
        "prefix": outputs[backbone.prefix_name],
        "average": keras.KerasTensor(
            (batch_size, width), outputs["feature_map"].dtype
        ),
        **outputs,
    }
    return {name: specs[kind] for name, (_, kind) in features.items()}
