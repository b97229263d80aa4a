"""Brings what worker processes count to the process that trains."""

import multiprocessing
import uuid
import weakref
from typing import Any

# How Keras names the processes that make its batches.
WORKER_PREFIX = "Keras_worker_"

_DATASETS: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def register(dataset):
    """Makes a data set the one that its copies in worker processes count for.

    Args:
        dataset: Object with a method `add_counts`, whose arguments can be
            pickled.

    Returns:
        String, which the copies pass to `with_counts`.
    """
    key = uuid.uuid4().hex
    _DATASETS[key] = dataset
    return key


def with_counts(batch, key, *counts):
    """Returns a batch which, in a worker process, takes counts along.

    Keras takes nothing back from a worker but batches.

    Args:
        batch: Tuple of arrays.
        key: What `register` returned.
        *counts: Arguments for the method `add_counts` of the data set in the
            process that trains.
    """
    if multiprocessing.current_process().name.startswith(WORKER_PREFIX):
        return _CountedBatch(batch, key, counts)
    return batch


class _CountedBatch(tuple):
    """A tuple that is an ordinary one after the way to another process."""

    def __new__(cls, batch, key, counts):
        counted = super().__new__(cls, batch)
        counted.delivery = (tuple(batch), key, counts)
        return counted

    def __reduce__(self):
        return _deliver, self.delivery


def _deliver(batch, key, counts):
    dataset = _DATASETS.get(key)
    if dataset is not None:
        dataset.add_counts(*counts)
    return batch
