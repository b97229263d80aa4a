import numpy as np


def majority_vote(labels):
    """Returns the most frequent label. Ties go to the smallest.

    Args:
        labels: Integer array of shape `(samples, votes, ...)`.

    Returns:
        Integer array of shape `(samples, ...)`.

    Raises:
        ValueError: If there is no vote.

    Example:

    >>> keras_capi.evaluation.majority_vote(np.array([[3, 1, 3], [2, 0, 1]]))
    array([3, 0])
    """
    labels = np.asarray(labels)
    if labels.ndim < 2 or not labels.shape[1]:
        raise ValueError(
            "`labels` must have shape (samples, votes, ...) with at least one "
            f"vote. Received: shape {labels.shape}"
        )
    labels = np.sort(labels, axis=1)
    best = labels[:, 0].copy()
    run = np.ones(best.shape, "int32")
    longest = run.copy()
    for index in range(1, labels.shape[1]):
        run = np.where(labels[:, index] == labels[:, index - 1], run + 1, 1)
        # Only a longer run wins, so that ties go to the smallest label.
        longer = run > longest
        best[longer] = labels[:, index][longer]
        longest[longer] = run[longer]
    return best
