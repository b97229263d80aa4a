from keras import ops

from keras_capi.layers.block_stack import run_blocks
from keras_capi.ops.normalization import rms_normalize
from keras_capi.validation import check_positive_integer


def attention_maps(backbone, images, layer=None):
    """Computes where registers and predictor look in images.

    Registers of the encoder gather what concerns the image as a whole. The
    predictor's first block, asked for every patch, makes the global feature:
    its mean attention is what that feature is made of.

    Args:
        backbone: `keras_capi.models.CAPIBackbone`.
        images: Float array of shape `(batch, height, width, channels)`, as the
            backbone takes them.
        layer: Integer or `None`. Number of the encoder's block to look at, from
            1; `None` is the last. Defaults to `None`.

    Returns:
        Dictionary of float32 arrays, means over the heads: `"registers"` of
        shape `(batch, registers, rows, columns)`, the attention of each
        register, and `"predictor"` of shape `(batch, rows, columns)`. What goes
        to registers instead of patches is left out, so that a map sums to at
        most 1.

    Raises:
        ValueError: If there is no such block.

    Example:

    >>> maps = keras_capi.visualization.attention_maps(model.teacher, images)
    >>> maps["predictor"].shape  # (batch, rows, columns)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 3.4 (predictor)
    """
    encoder, predictor = backbone.encoder, backbone.predictor
    check_positive_integer("layer", layer, or_none=True)
    layer = encoder.num_layers if layer is None else layer
    encoder.check_layers((layer,))
    images = ops.convert_to_tensor(images)
    _, height, width, _ = images.shape
    grid_size = (height // backbone.patch_size, width // backbone.patch_size)
    num_registers = encoder.register_tokens.num_registers

    patch_coordinates = encoder.patch_coordinates(images)
    tokens, coordinates = encoder.register_tokens(
        encoder.patch_embedding(images), patch_coordinates
    )
    tokens = [
        tokens,
        *run_blocks(encoder.blocks, tokens, coordinates=coordinates),
    ]
    block = encoder.blocks[layer - 1]
    registers = block.attention.attention_weights(
        block.attention_norm(tokens[layer - 1]), coordinates
    )

    context = rms_normalize(tokens[-1])
    block = predictor.blocks[0]
    # All queries start as the same token; only their positions differ.
    queries = ops.broadcast_to(
        predictor.mask_token,
        (len(images), grid_size[0] * grid_size[1], predictor.hidden_dim),
    )
    asked = block.attention.attention_weights(
        block.attention_norm(queries), patch_coordinates, context, coordinates
    )

    def to_maps(weights):
        maps = ops.mean(weights, axis=1)[..., num_registers:]
        maps = ops.convert_to_numpy(maps)
        return maps.reshape(*maps.shape[:2], *grid_size)

    return {
        "registers": to_maps(registers[:, :, :num_registers]),
        "predictor": to_maps(ops.mean(asked, axis=2, keepdims=True))[:, 0],
    }
