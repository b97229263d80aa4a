"""What the step of a thread does with transformer blocks, on torch."""

import functools
import threading

from keras_capi.backend.active import BACKEND


class _ThisStep(threading.local):
    """The state of the step that this thread runs, if any."""

    compiles = False
    recordings = None
    # The block to trace, if tracing happens.
    block = None


this_step = _ThisStep()


def compiled_alike(function):
    """Lets a function compile blocks, or not, as when it was first called.

    For rematerialisation, which calls it again when torch computes gradients:
    for a GPU in other threads, and the steps may have given up compiling.

    Args:
        function: Function that calls blocks, for one forward pass.
    """
    if BACKEND != "torch":
        return function
    before = None

    @functools.wraps(function)
    def run(*args, **kwargs):
        nonlocal before
        if before is None:
            outputs = function(*args, **kwargs)
            # Now, as it may have given up itself.
            before = this_step.compiles, this_step.recordings
            return outputs
        now = this_step.compiles, this_step.recordings
        this_step.compiles, this_step.recordings = before
        try:
            return function(*args, **kwargs)
        finally:
            this_step.compiles, this_step.recordings = now

    return run
