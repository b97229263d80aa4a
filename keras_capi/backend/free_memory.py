"""Memory that compilers leave behind."""

import ctypes
import functools

from keras_capi.backend.active import BACKEND


def returns_memory(train_function):
    """Lets a training function return what its first step left free.

    Compiling takes some hundred megabytes, which the C library keeps for later,
    where other programs, or the pages of a data set, could use them.

    Args:
        train_function: The `train_function` of a `keras.Model`.

    Returns:
        Function of the same arguments and results.
    """
    if BACKEND == "torch":
        return train_function
    is_first = True

    @functools.wraps(train_function)
    def run(*arguments):
        nonlocal is_first
        results = train_function(*arguments)
        if is_first:
            is_first = False
            return_free_memory()
        return results

    return run


def return_free_memory():
    """Returns free memory of the process to the system, where that is known."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return  # Of glibc alone.
    trim(0)
