"""The highest numbers of each row, in the same order on each backend."""

from keras import ops

from keras_capi.backend.active import BACKEND

# Of those with many equal numbers, to need little memory.
ROWS_AT_A_TIME = 64


def top_k(x, count):
    """Finds the highest numbers; of equal ones, the first are taken.

    TensorFlow and JAX do so themselves. Which ones torch takes depends on the
    length of the row.

    Args:
        x: Float tensor of shape `(rows, numbers)`.
        count: How many to find in each row.

    Returns:
        Two tensors of shape `(rows, count)`: the numbers, in descending order,
        and their indices.
    """
    if BACKEND != "torch":
        return ops.top_k(x, count)
    # One more tells whether others are as high as the last.
    values, indices = x.topk(min(count + 1, x.shape[1]))
    has_more = (values[:, count:] == values[:, count - 1 : count]).any(dim=1)
    indices = indices[:, :count]
    for part in has_more.nonzero()[:, 0].split(ROWS_AT_A_TIME):
        rows, lowest = x[part], values[part, count - 1 : count]
        is_above, is_lowest = rows > lowest, rows == lowest
        room = count - is_above.sum(dim=1, keepdim=True)
        is_taken = is_above | (is_lowest & (is_lowest.cumsum(dim=1) <= room))
        indices[part] = is_taken.nonzero()[:, 1].reshape(-1, count)
    indices = indices.sort(dim=1)[0]
    values, order = x.gather(1, indices).sort(
        dim=1, descending=True, stable=True
    )
    return values, indices.gather(1, order)
