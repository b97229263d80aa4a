"""Free memory: what is kept for the next step, and what is returned."""

import ctypes
import functools

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.active import BACKEND

# Settings of glibc: how much may stay free at the end of the heap, how many
# blocks may have their own pages, and how many heaps the threads may have.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8


def share_heap():
    """Makes JAX's threads share the one heap that can grow without limit.

    Must be called before JAX starts its threads, as these keep their heaps.
    """
    if BACKEND == "jax":
        _set_allocation(ARENA_MAX, 1)


def keeps_memory(train_function):
    """Makes a training function keep the memory of each step for the next.

    On CPUs JAX asks the system for the memory of each step, which then has to
    clear hundreds of megabytes: up to a third of the step. torch does the same
    for each tensor of over 32 MB, and Keras, before torch copies it to a GPU,
    for each batch.

    The memory used for compiling, some hundred megabytes, is returned after the
    first step, so that other programs or the page cache can use it.

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
    """Makes the process keep memory of the host freed from now on.

    TensorFlow already does so in its own way, and JAX needs little of it on
    accelerators.
    """
    if BACKEND == "torch" or (BACKEND == "jax" and not has_accelerator()):
        _set_allocation(MMAP_MAX, 0)
        _set_allocation(TRIM_THRESHOLD, -1)


def return_free_memory():
    """Returns free memory of the process to the system, with glibc only."""
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
