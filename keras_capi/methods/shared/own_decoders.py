"""Trials of a user's own decoders and predictors, before any training.

Each function takes the user's layer, or `None`, which is not tried, and the
`keras_capi.encoders.Encoder`. It raises a `ValueError` if the layer is none,
cannot be called like the layer that the function names, or returns something
else. Where decoders are given visible patches, so are encoders, and are tried.
"""

import keras

from keras_capi.methods.inputs.view_sizes import view_sizes
from keras_capi.training.tried_encoder import try_fewer_patches
from keras_capi.training.tried_part import try_decoder

BATCH = 2
BLOCKS = 3


def try_pixel_decoder(decoder, encoder):
    """Tries a layer to call like `keras_capi.decoders.MaskTokenDecoder`."""
    try_fewer_patches(encoder, view_sizes(encoder)[0])
    grid_size, visible, hidden = _count_patches(encoder)
    try_decoder(
        "decoder",
        decoder,
        [
            _tokens(encoder, encoder.num_prefix_tokens),
            _tokens(encoder, visible),
            _indices(visible),
            _indices(hidden),
        ],
        grid_size,
        "(batch, visible + predictions, values of a patch)",
        (BATCH, visible + hidden, _values_of_patch(encoder)),
    )


def try_feature_predictor(predictor, encoder):
    """Tries a layer to call like `SelfAttentionPredictor`."""
    try_fewer_patches(encoder, view_sizes(encoder)[0])
    grid_size, visible, hidden = _count_patches(encoder)
    try_decoder(
        "predictor",
        predictor,
        [
            _tokens(encoder, encoder.num_prefix_tokens),
            _tokens(encoder, visible),
            _indices(visible),
            _indices(BLOCKS, hidden),
            keras.KerasTensor((BATCH, visible), "bool"),
            keras.KerasTensor((BATCH, BLOCKS, hidden), "bool"),
        ],
        grid_size,
        "(batch, blocks, predictions, hidden_dim)",
        (BATCH, BLOCKS, hidden, encoder.hidden_dim),
    )


def try_feature_decoder(decoder, encoder):
    """Tries a layer to call like `ConvolutionalPredictor`."""
    try_fewer_patches(encoder, view_sizes(encoder)[0])
    grid_size, visible, _ = _count_patches(encoder)
    try_decoder(
        "decoder",
        decoder,
        [_tokens(encoder, visible), _indices(visible)],
        grid_size,
        "(batch, patches, hidden_dim)",
        (BATCH, grid_size[0] * grid_size[1], encoder.hidden_dim),
        training=False,
    )


def try_pixel_head(head, encoder):
    """Tries a layer to call like `keras_capi.layers.PatchMLP`."""
    grid_size, *counts = _count_patches(encoder)
    try_decoder(
        "head",
        head,
        [_tokens(encoder, sum(counts))],
        grid_size,
        "(batch, patches, values of a patch)",
        (BATCH, sum(counts), _values_of_patch(encoder)),
    )


def _count_patches(encoder):
    """Returns the grid, and the numbers of visible and hidden patches."""
    rows, columns = encoder.grid_size(view_sizes(encoder)[0])
    visible = max(rows * columns // 4, 1)
    return (rows, columns), visible, rows * columns - visible


def _values_of_patch(encoder):
    return encoder.patch_size**2 * encoder.image_shape[-1]


def _tokens(encoder, count):
    shape = (BATCH, count, encoder.hidden_dim)
    return keras.KerasTensor(shape, encoder.compute_dtype)


def _indices(*counts):
    return keras.KerasTensor((BATCH, *counts), "int32")
