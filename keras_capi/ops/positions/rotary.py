import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer


def rotary_frequencies(head_dim, max_frequency=7.0, min_frequency=7e-4):
    """Returns the frequencies of the two-dimensional rotary positions.

    There are `head_dim / 4` geometrically spaced frequencies, in turns per
    image. The first half of the channels rotates with the row, the second half
    with the column:

    ```
    f = max * (max / min) ** linspace(0, -1, head_dim // 4)
    frequencies = 2 * pi * [[f, f, 0, 0], [0, 0, f, f]]
    ```

    Args:
        head_dim: Integer, divisible by 4. Size of an attention head.
        max_frequency: Float. Highest frequency in turns per image. Defaults to
            `7.0`.
        min_frequency: Float. Lowest frequency in turns per image. Defaults to
            `7e-4`.

    Returns:
        NumPy array of shape `(2, head_dim)` in float32, radians per image.

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """
    check_positive("max_frequency", max_frequency)
    check_positive("min_frequency", min_frequency)
    check_positive_integer("head_dim", head_dim)
    if head_dim % 4:
        raise ValueError(
            "The head size must be divisible by 4, for the two coordinates "
            f"and the two halves of a rotation. Received: head_dim={head_dim}"
        )
    exponents = np.linspace(0, -1, head_dim // 4)
    frequencies = max_frequency * (max_frequency / min_frequency) ** exponents
    frequencies = np.concatenate([frequencies, frequencies])
    zeros = np.zeros_like(frequencies)
    rows = np.concatenate([frequencies, zeros])
    columns = np.concatenate([zeros, frequencies])
    return (2 * np.pi * np.stack([rows, columns])).astype("float32")


def rotary_angles(coordinates, frequencies):
    """Returns the cosine and sine of each token's and channel's rotary angle.

    Args:
        coordinates: Float tensor of shape `(..., tokens, 2)`: row and column in
            `[0, 1]`.
        frequencies: Float tensor of shape `(2, head_dim)`, see
            `rotary_frequencies`.

    Returns:
        Two float32 tensors of shape `(..., tokens, 1, head_dim)`, with an axis
        for the attention heads.
    """
    coordinates = ops.cast(coordinates, "float32")
    frequencies = ops.cast(frequencies, "float32")
    # Written out: a sum of two terms is no work for a matrix unit, and some of
    # these would round the angles to low precision.
    row, column = backend.split(coordinates, (1, 1), -1)
    of_row, of_column = backend.split(frequencies, (1, 1), 0)
    angles = ops.expand_dims(row * of_row + column * of_column, -2)
    return ops.cos(angles), ops.sin(angles)


def apply_rotary(x, cosine, sine):
    """Rotates the channels of queries or keys by their positions' angles.

    Computes `x * cos + rotate_half(x) * sin` with `rotate_half([a, b]) = [-b,
    a]` on the two halves of the channels. The two channels of a pair turn by
    different angles, one with the row and one with the column; so this is not a
    rotation, and does not preserve norms. Published weights require this form.

    Args:
        x: Float tensor of shape `(batch, tokens, heads, head_dim)`, with an
            even `head_dim`.
        cosine: Float tensor that broadcasts with `x`, see `rotary_angles`.
        sine: Like `cosine`.

    Returns:
        Tensor of the shape and dtype of `x`.

    Raises:
        ValueError: If the head size is odd.

    Reference:

    - [RoFormer](https://arxiv.org/abs/2104.09864)
    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (architecture)
    """
    x, cosine, sine = map(ops.convert_to_tensor, (x, cosine, sine))
    if x.shape[-1] % 2:
        raise ValueError(
            "The head size must be even, for the two halves of a rotation. "
            f"Received: x.shape={tuple(x.shape)}"
        )
    # The sign is applied to the sine, which is smaller, as it has no heads.
    halves = (x.shape[-1] // 2,) * 2
    first, second = backend.split(sine, halves, -1)
    signed = ops.concatenate([-first, second], axis=-1)
    first, second = backend.split(x, halves, -1)
    swapped = ops.concatenate([second, first], axis=-1)
    return x * ops.cast(cosine, x.dtype) + swapped * ops.cast(signed, x.dtype)
