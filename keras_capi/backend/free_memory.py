"""Free memory: what is kept for the next step, and what goes back."""

import ctypes
import functools

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.active import BACKEND

# Settings of glibc: what may stay free at the end of the heap, how many pieces
# may have pages of their own, and how many heaps the threads may have.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8


def share_heap():
    """Lets JAX's threads use the one heap that can grow without limit.

    To be called before JAX starts them: they keep their heap.
    """
    if BACKEND == "jax":
        _set_allocation(ARENA_MAX, 1)


def keeps_memory(train_function):
    """Lets a training function keep the memory of its steps for the next one.

    On processors JAX takes what a step needs from the system each time, which
    then clears hundreds of megabytes: up to a third of the step. torch does so
    with each tensor of over 32 MB.

    What compiling took, some hundred megabytes, goes back after the first step,
    so that other programs, or the pages of a data set, can use them.

    Args:
        train_function: The `train_function` of a `keras.Model`.

    Returns:
        Function of the same arguments and results.
    """
    is_first = True

    @functools.wraps(train_function)
    def run(*arguments):
        nonlocal is_first
        if is_first:
            keep_freed_memory()
        results = train_function(*arguments)
        if is_first:
            is_first = False
            return_free_memory()
        return results

    return run


def keep_freed_memory():
    """Keeps what is freed from now on, on processors.

    TensorFlow has its own way to do so.
    """
    if BACKEND != "tensorflow" and not has_accelerator():
        _set_allocation(MMAP_MAX, 0)
        _set_allocation(TRIM_THRESHOLD, -1)


def return_free_memory():
    """Returns free memory of the process to the system, where that is known."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return  # Of glibc alone.
    trim(0)


def _set_allocation(setting, value):
    try:
        change = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # Of glibc alone.
    change(setting, value)
