"""What image GPT's encoder is made of, beside blocks."""

import keras


def make_table(count, width, deviation, name, dtype):
    """Returns a table of vectors, built.

    Args:
        count: Integer. Number of vectors.
        width: Integer.
        deviation: Float. Standard deviation of the initial values.
        name: String.
        dtype: Dtype policy.
    """
    table = keras.layers.Embedding(
        count,
        width,
        keras.initializers.RandomNormal(stddev=deviation),
        dtype=dtype,
        name=name,
    )
    table.build()
    return table


def draw_attention(blocks, width):
    """Draws the kernels of attention, whose deviations depend on the sizes.

    Args:
        blocks: List of `keras_capi.layers.TransformerBlock`s.
        width: Integer. Width of the tokens.
    """
    # What comes out of attention is added as often as there are blocks.
    for block in blocks:
        for projection, count in zip(
            block.attention.projections, (1, len(blocks)), strict=True
        ):
            initializer = keras.initializers.RandomNormal(
                stddev=(width * count) ** -0.5
            )
            kernel = projection.kernel
            kernel.assign(initializer(kernel.shape, kernel.dtype))
