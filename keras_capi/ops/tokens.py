import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.ops.value_range import check_value_range
from keras_capi.validation import check_grid_size
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_unless_symbolic

INT32 = np.iinfo("int32")
WIDE = ("int64", "uint32", "uint64")


def gather_tokens(tokens, indices):
    """Selects tokens of each sample by their indices.

    Args:
        tokens: Tensor of shape `(batch, tokens, width)`.
        indices: Integer tensor of shape `(batch, picked)`, each in
            `[0, tokens)`.

    Returns:
        Tensor of shape `(batch, picked, width)`.

    Raises:
        ValueError: If a list or NumPy array has indices of no token. What
            those in a tensor select depends on the backend.

    Example:

    >>> tokens = keras.ops.reshape(keras.ops.arange(6.0), (2, 3, 1))
    >>> keras_capi.ops.gather_tokens(tokens, keras.ops.array([[2], [0]]))
    """
    tokens = ops.convert_to_tensor(tokens)
    check_value_range("indices", indices, tokens.shape[1], "as the tokens")
    return backend.take_tokens(tokens, to_int32(indices))


def to_int32(indices):
    """Converts indices to int32, such that large ones do not wrap around.

    Args:
        indices: Integer array or tensor of any shape.

    Returns:
        Int32 tensor. Indices outside its range become the largest int32.

    Raises:
        ValueError: If a NumPy array has such an index.
    """
    if not keras.ops.is_tensor(indices):
        indices = np.asarray(indices)
        if indices.size and not (
            INT32.min <= indices.min() and indices.max() <= INT32.max
        ):
            raise ValueError(
                "`indices` must fit into 32 bits. Received: values from "
                f"{indices.min()} to {indices.max()}"
            )
    elif keras.backend.standardize_dtype(indices.dtype) in WIDE:
        fits = ops.logical_and(indices >= 0, indices <= INT32.max)
        indices = ops.where(fits, indices, INT32.max)
    return ops.convert_to_tensor(indices, "int32")


def slice_tokens(tokens, start, size):
    """Takes a slice of consecutive tokens.

    Args:
        tokens: Tensor of shape `(batch, tokens, width)`.
        start: Integer or integer scalar tensor. The first of them.
        size: Integer. How many.

    Returns:
        Tensor of shape `(batch, size, width)`.
    """
    check_unless_symbolic(check_non_negative_integer, "start", start)
    check_positive_integer("size", size)
    tokens = ops.convert_to_tensor(tokens)
    batch_size, _, width = ops.shape(tokens)
    return ops.slice(tokens, (0, start, 0), (batch_size, size, width))


def gather_tokens_in_range(tokens, indices, start):
    """Selects tokens when only a part of all tokens is available.

    The sum over all parts is what `gather_tokens` selects from the whole.

    Args:
        tokens: Tensor of shape `(batch, tokens, width)`: those from `start` on.
        indices: Integer tensor of shape `(batch, picked)`: indices in the
            whole.
        start: Integer or integer scalar tensor.

    Returns:
        Tensor of shape `(batch, picked, width)`: 0 for tokens of other parts.
    """
    check_unless_symbolic(check_non_negative_integer, "start", start)
    indices = to_int32(indices) - start
    inside = in_range(indices, tokens.shape[1])
    picked = gather_tokens(tokens, ops.where(inside, indices, 0))
    return ops.where(inside[..., None], picked, 0.0)


def list_hidden(mask, count):
    """Returns the indices of hidden patches, followed by those of others.

    Args:
        mask: Boolean tensor of shape `(batch, patches)`, `True` where hidden.
        count: Integer, or integer scalar tensor. How many indices to return for
            each image.

    Returns:
        Int32 tensor of shape `(batch, count)`: first those of hidden patches,
        then the others, each in ascending order.
    """
    num_patches = ops.shape(mask)[1]
    cells = ops.arange(num_patches, dtype="int32")
    order = ops.argsort(ops.where(mask, cells, cells + num_patches), axis=1)
    return ops.cast(order[:, :count], "int32")


def indices_are_distinct(first, second, num_tokens):
    """Returns whether all indices are valid and distinct in each sample.

    Args:
        first: Integer tensor of shape `(batch, count)`.
        second: Integer tensor of shape `(batch, other count)`.
        num_tokens: Integer. The number of tokens.

    Returns:
        Boolean scalar tensor.
    """
    indices = ops.sort(ops.concatenate([first, second], axis=1), axis=1)
    distinct = ops.all(indices[:, 1:] > indices[:, :-1])
    return ops.logical_and(distinct, ops.all(in_range(indices, num_tokens)))


def in_range(indices, end):
    """Returns which indices are in `[0, end)`."""
    return ops.logical_and(indices >= 0, ops.less(indices, end))


def extract_patches(images, patch_size):
    """Cuts images into flattened patches.

    Args:
        images: Tensor of shape `(batch, height, width, channels)`, height and
            width divisible by `patch_size`.
        patch_size: Integer. Side of a patch in pixels.

    Returns:
        Tensor of shape `(batch, rows * columns, patch_size**2 * channels)`:
        patches row-major, values in the order row, column, channel.

    Raises:
        ValueError: If the images do not have rank 4, or a size that is not
            divisible by the patch size.
    """
    check_positive_integer("patch_size", patch_size)
    batch_size, height, width, channels = _sizes(
        "images", images, ("batch", "height", "width", "channels")
    )
    for name, size in (("height", height), ("width", width)):
        if isinstance(size, int) and size % patch_size:
            raise ValueError(
                f"`patch_size` must divide the {name} of the images. Received: "
                f"patch_size={patch_size}, images.shape={tuple(images.shape)}"
            )
    rows, columns = height // patch_size, width // patch_size
    patches = ops.reshape(
        images, (batch_size, rows, patch_size, columns, patch_size, channels)
    )
    patches = ops.transpose(patches, (0, 1, 3, 2, 4, 5))
    return ops.reshape(
        patches, (batch_size, rows * columns, patch_size**2 * channels)
    )


def join_patches(patches, patch_size, grid_size):
    """Joins flattened patches to images, the inverse of `extract_patches`.

    Args:
        patches: Tensor of shape `(batch, rows * columns, patch_size**2 *
            channels)`: patches row-major, values in the order row, column,
            channel.
        patch_size: Integer. Side of a patch in pixels.
        grid_size: Tuple of two integers, rows and columns of patches.

    Returns:
        Tensor of shape `(batch, height, width, channels)`.

    Raises:
        ValueError: If the patches do not have rank 3, or do not fit the grid
            and patch size.

    Example:

    >>> images = keras.random.uniform((2, 8, 12, 3))
    >>> patches = keras_capi.ops.extract_patches(images, 4)
    >>> again = keras_capi.ops.join_patches(patches, 4, (2, 3))
    """
    check_positive_integer("patch_size", patch_size)
    rows, columns = check_grid_size(grid_size)
    batch_size, num_patches, width = _sizes(
        "patches", patches, ("batch", "patches", "values")
    )
    is_known = all(isinstance(n, int) for n in (num_patches, rows, columns))
    if is_known and num_patches != rows * columns:
        raise ValueError(
            "`grid_size` must be that of the patches. Received: "
            f"grid_size={(rows, columns)}, {num_patches} patches"
        )
    if isinstance(width, int) and width % patch_size**2:
        raise ValueError(
            "`patch_size` must be that of the patches. Received: "
            f"patch_size={patch_size}, {width} values in a patch"
        )
    channels = width // patch_size**2
    images = ops.reshape(
        patches, (batch_size, rows, columns, patch_size, patch_size, channels)
    )
    images = ops.transpose(images, (0, 1, 3, 2, 4, 5))
    return ops.reshape(
        images, (batch_size, rows * patch_size, columns * patch_size, channels)
    )


def _sizes(name, x, axes):
    """Returns the size of each of these axes, or raises a `ValueError`."""
    sizes = ops.shape(x)
    if len(sizes) != len(axes):
        raise ValueError(
            f"`{name}` must have rank {len(axes)}: ({', '.join(axes)}). "
            f"Received: {name}.shape={tuple(sizes)}"
        )
    return sizes


def pad_images(images, patch_size):
    """Pads images with zeros, below and right, to multiples of a patch size.

    Args:
        images: Tensor of shape `(batch, height, width, channels)`.
        patch_size: Integer.

    Returns:
        Tensor of the same rank.
    """
    height, width = (-size % patch_size for size in ops.shape(images)[1:3])
    return ops.pad(images, ((0, 0), (0, height), (0, width), (0, 0)))


def replace_tokens(tokens, mask, mask_token):
    """Replaces some tokens by a mask token.

    Args:
        tokens: Float tensor of shape `(batch, tokens, width)`.
        mask: Boolean tensor of shape `(batch, tokens)`.
        mask_token: Float tensor of shape `(width,)`.

    Returns:
        Tensor of the shape of `tokens`.
    """
    mask = ops.cast(mask, "bool")[..., None]
    return ops.where(mask, ops.cast(mask_token, tokens.dtype), tokens)
