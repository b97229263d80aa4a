from keras import ops

from keras_capi.encoders.check_backbone import check_backbone
from keras_capi.ops.tokens import pad_images
from keras_capi.validation import check_layers
from keras_capi.validation import check_positive_integer


def attention_maps(backbone, images, layer=None):
    """Computes where class token, registers and predictor attend in images.

    The class token and registers gather information about the image as a whole.
    CAPI's predictor makes the global feature: its first block is queried at
    every patch, and the mean attention shows what the feature is made of.

    Args:
        backbone: `keras_capi.encoders.Encoder`.
        images: Float array of shape `(batch, height, width, channels)`, as the
            backbone takes them.
        layer: Integer or `None`. Number of the encoder's block, counted from 1.
            `None` is the last. Defaults to `None`.

    Returns:
        Dictionary of float32 arrays, averaged over the heads: `"prefix"` of
        shape `(batch, tokens, rows, columns)`, the attention of the class
        token, if there is one, and the registers. For a `CAPIBackbone` it is
        called `"registers"`, and there is also `"predictor"` of shape `(batch,
        rows, columns)`. Attention to tokens other than patches is left out, so
        that a map sums to at most 1. Empty for an encoder without attention.

    Raises:
        ValueError: If the encoder has no such block.

    Example:

    >>> maps = keras_capi.visualization.attention_maps(model.encoder, images)
    >>> maps["predictor"].shape  # (batch, rows, columns)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), figure 1 (class token)
    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.4 (predictor)
    """
    check_backbone(backbone)
    check_positive_integer("layer", layer, or_none=True)
    layer = backbone.num_layers if layer is None else layer
    check_layers((layer,), backbone.num_layers)
    images = ops.convert_to_tensor(images)
    if backbone.pad:
        images = pad_images(images, backbone.patch_size)
    grid = backbone.grid_size(images.shape[1:])
    maps = {}
    for name, weights in backbone.attention_weights(images, layer).items():
        weights = ops.mean(weights, axis=1)[..., backbone.num_prefix_tokens :]
        weights = ops.convert_to_numpy(weights)
        maps[name] = weights.reshape(*weights.shape[:-1], *grid)
    return maps
