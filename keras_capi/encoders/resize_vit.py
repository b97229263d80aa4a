from keras import ops

from keras_capi.encoders.vit import ViT
from keras_capi.ops.positions.relative_tables import resample_relative_positions
from keras_capi.ops.positions.tables import resample_positions

# Each kind of encoder has some of the norms.
PARTS = (
    "patch_embedding",
    "patch_norm",
    "prefix_tokens",
    "first_norm",
    "final_norm",
)


def resize_vit(encoder, image_shape=None, relative_positions=None):
    """Converts a trained encoder to images of another size.

    Relative positions cover the offsets within the images that an encoder was
    made for. Before the encoder is fine-tuned on larger images, they have to be
    resampled once. Position tables are resampled with them.

    Args:
        encoder: `keras_capi.encoders.ViT`, without LoRA.
        image_shape: Tuple `(height, width, channels)`; `None` keeps that of the
            encoder. Defaults to `None`.
        relative_positions: `"per_block"` gives each block its own copy of
            shared biases, to be trained separately, as the authors of BEiT and
            SimMIM do for fine-tuning. `None` keeps them as they are. Defaults
            to `None`.

    Returns:
        A new encoder of the same class, with its own weights.

    Raises:
        ValueError: If `encoder` is of another kind, or the arguments do not fit
            it.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     8, 2, 48, 4, image_shape=(32, 32, 3), positions=None,
    ...     relative_positions="shared",
    ... )
    >>> larger = keras_capi.encoders.resize_vit(
    ...     encoder, (48, 48, 3), relative_positions="per_block"
    ... )

    Reference:

    - [BEiT](https://arxiv.org/abs/2106.08254), section 2.6
    - [SimMIM](https://arxiv.org/abs/2111.09886), section 4.1
    """
    if not isinstance(encoder, ViT) or encoder.has_lora:
        raise ValueError(
            "`encoder` must be a `ViT` without LoRA. Received: "
            f"{type(encoder).__name__}"
        )
    had = encoder.positions.relative
    kind = relative_positions or had
    if kind not in (had, "per_block") or (kind and not had):
        raise ValueError(
            "`relative_positions` must be None, or 'per_block' for an encoder "
            "with relative positions. Received: "
            f"relative_positions={relative_positions!r}, and an encoder with "
            f"{had!r}"
        )
    config = encoder.get_config()
    if kind != had:
        config["relative_positions"] = kind
    if image_shape is not None:
        config["image_shape"] = image_shape
    made = type(encoder).from_config(config)
    for name in PARTS:
        part = getattr(encoder, name, None)
        if part is not None:
            getattr(made, name).set_weights(part.get_weights())
    for block, other in zip(made.blocks, encoder.blocks, strict=True):
        block.set_weights(other.get_weights())
    _copy_positions(encoder.positions, made.positions)
    return made


def _copy_positions(old, new):
    if new.table is not None:
        rest = int(old.class_token)
        patches = resample_positions(
            old.table.table[rest:],
            old.image_grid,
            new.image_grid,
            old.interpolation_offset,
            old.interpolation_antialias,
        )
        new.table.table.assign(
            ops.concatenate([old.table.table[:rest], patches])
        )
    for index, bias in enumerate(new.biases):
        # One for all blocks, or one for each.
        table = old.biases[min(index, len(old.biases) - 1)].table
        bias.table.assign(
            resample_relative_positions(
                ops.convert_to_numpy(table), old.image_grid, new.image_grid
            )
        )
