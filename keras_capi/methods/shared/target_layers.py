"""The layers of a teacher that are predicted, and their features."""

from keras_capi.encoders.mlp_outputs import mlp_outputs
from keras_capi.encoders.vit import ViT
from keras_capi.validation import check_choice
from keras_capi.validation import check_each
from keras_capi.validation import check_positive_integer

OUTPUTS = ("block", "mlp")


def check_target_layers(layers, num_layers, default):
    """Returns the numbers of blocks as a tuple, or raises a `ValueError`.

    Args:
        layers: Sequence of integers, or `None` for the last ones.
        num_layers: Integer. How many blocks there are.
        default: Integer. At most how many the last ones are.
    """
    if layers is None:
        first = max(num_layers - default, 0)
        return tuple(range(first + 1, num_layers + 1))
    layers = check_each("target_layers", layers, check_positive_integer)
    if max(layers) > num_layers:
        raise ValueError(
            "`target_layers` must be numbers from 1 to the encoder's "
            f"{num_layers}. Received: target_layers={layers}"
        )
    return layers


def check_target_outputs(target_outputs, encoder):
    """Raises a `ValueError` unless an encoder has such outputs of blocks."""
    check_choice("target_outputs", target_outputs, OUTPUTS)
    if target_outputs == "mlp" and not isinstance(encoder, ViT):
        raise ValueError(
            '`target_outputs="mlp"` takes a `keras_capi.encoders.ViT`. '
            f"Received: encoder={type(encoder).__name__}"
        )


def take_layers(encoder, images, layers, target_outputs):
    """Returns the features of patches from several blocks.

    Args:
        encoder: `keras_capi.encoders.Encoder`, a teacher.
        images: Float tensor of shape `(batch, height, width, channels)`.
        layers: Tuple of integers, the numbers of the blocks.
        target_outputs: `"block"` or `"mlp"`.

    Returns:
        List of tensors of shape `(batch, patches, hidden_dim)`, not normalised.
    """
    if target_outputs == "mlp":
        outputs = mlp_outputs(encoder, images, layers)
    else:
        outputs = encoder.encode_images(
            images, layers=layers, training=False, normalize=False
        )
        outputs = {layer: outputs[f"layer_{layer}"] for layer in layers}
    return [outputs[layer][:, encoder.num_prefix_tokens :] for layer in layers]
