"""Parts of image GPT's encoder other than its blocks."""

import keras
from keras import ops

from keras_capi import backend
from keras_capi.layers.blocks.block_stack import run_blocks_on_next


def make_table(count, width, deviation, name, dtype):
    """Returns a built table of vectors.

    Args:
        count: Integer. Number of vectors.
        width: Integer.
        deviation: Float. Standard deviation of the initial values.
        name: String.
        dtype: Dtype policy.
    """
    table = keras.layers.Embedding(
        # Keras refuses NumPy's integers.
        int(count),
        int(width),
        keras.initializers.RandomNormal(stddev=deviation),
        dtype=dtype,
        name=name,
    )
    table.build()
    return table


def encode_next(encoder, token_ids, caches, place):
    """Like `encode`, for one position, given those before it.

    Args:
        encoder: `ImageGPTEncoder` that is causal.
        token_ids: Integer tensor of shape `(batch,)`: the word before the
            position; any for the first position.
        caches: Result of `make_caches`, or of the call for the position before.
        place: Integer or scalar tensor.

    Returns:
        Tuple of a tensor of shape `(batch, 1, hidden_dim)` and the caches for
        the next position.
    """
    dtype = encoder.compute_dtype
    table = encoder.color_embedding.embeddings
    token = ops.cast(backend.take_rows(table, token_ids), dtype)
    start = ops.cast(encoder.start_token.class_token, dtype)
    token = ops.where(ops.equal(place, 0), start, token)
    positions = ops.cast(encoder.position_embedding.embeddings, "float32")
    token = token + ops.cast(ops.take(positions, place, axis=0), dtype)
    token, caches = run_blocks_on_next(
        encoder.blocks, token[:, None], caches, place
    )
    return encoder.final_norm(token), caches


def draw_attention(blocks, width):
    """Initialises the kernels of attention, with deviations for these sizes.

    Args:
        blocks: List of `keras_capi.layers.TransformerBlock`s.
        width: Integer. Width of the tokens.
    """
    # The output of attention is added once for each block.
    for block in blocks:
        for projection, count in zip(
            block.attention.projections, (1, len(blocks)), strict=True
        ):
            initializer = keras.initializers.RandomNormal(
                stddev=(width * count) ** -0.5
            )
            kernel = projection.kernel
            kernel.assign(initializer(kernel.shape, kernel.dtype))
