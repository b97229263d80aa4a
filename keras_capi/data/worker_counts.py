"""Passes the counts of worker processes to the process that trains."""

import multiprocessing
import uuid
import weakref
from typing import Any

# Keras's names for the processes that make its batches.
WORKER_PREFIX = "Keras_worker_"

_DATASETS: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def register(dataset):
    """Registers a data set, to receive the counts of its copies in workers.

    Args:
        dataset: Object with a method `add_counts`, whose arguments can be
            pickled.

    Returns:
        String, the key that the copies pass to `with_counts`.
    """
    key = uuid.uuid4().hex
    _DATASETS[key] = dataset
    return key


def with_counts(batch, key, *counts):
    """Returns a batch that carries counts out of a worker process.

    Batches are all that Keras gets back from a worker.

    Args:
        batch: Tuple of arrays.
        key: The key that `register` returned.
        *counts: Arguments for the method `add_counts` of the data set in the
            process that trains.
    """
    if multiprocessing.current_process().name.startswith(WORKER_PREFIX):
        return _CountedBatch(batch, key, counts)
    return batch


class _CountedBatch(tuple):
    """A tuple that becomes an ordinary one in another process."""

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
