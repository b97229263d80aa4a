"""Views: the batch first, or one after the other, as the authors have it."""

from benchmarks.replay.weights import to_numpy


def by_view(values, batch_size):
    """All samples of the first view, then the second, as the authors have it.

    Args:
        values: Tensor whose first axis is all views of the first sample, then
            of the second.
        batch_size: Integer.
    """
    values = to_numpy(values)
    shape = values.shape
    values = values.reshape(batch_size, -1, *shape[1:]).swapaxes(0, 1)
    return values.reshape(shape)


def flat(values):
    """Joins all axes but the last."""
    values = to_numpy(values)
    return values.reshape(-1, values.shape[-1])
