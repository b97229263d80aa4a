"""Puts numbers and arrays on accelerators without waiting for these."""

import contextlib
import functools

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.active import BACKEND
from keras_capi.backend.host import sent_to_device


@contextlib.contextmanager
def numbers_made_on_device():
    """Makes torch create Python numbers on the accelerator.

    Keras turns every Python number, such as that in `ops.maximum(x, 1.0)`, into
    a tensor with `torch.as_tensor`. This copies it from the host, and waits for
    everything launched before: a hundred times in a step. A kernel that fills
    memory with the number is just queued. So is a copy of an array to CUDA, for
    which torch need not wait, such as that of the next batch in `fit`.
    """
    if BACKEND != "torch" or not has_accelerator():
        yield
        return
    import torch

    as_tensor = torch.as_tensor
    # A step that is compiled as a whole has its numbers in the code. The first
    # to come, a step or a `fit` around it, patches torch for all threads.
    if torch.compiler.is_compiling() or hasattr(as_tensor, "makes_numbers"):
        yield
        return
    torch.as_tensor = _made_or_copied(as_tensor)
    try:
        yield
    finally:
        torch.as_tensor = as_tensor


# Once, as torch would compile again for another function.
@functools.cache
def _made_or_copied(as_tensor):
    """Returns a function for the place of `torch.as_tensor`."""
    import torch

    def make_or_copy(data, *, dtype=None, device=None):
        # NumPy's numbers, of which some are Python's too, have their dtypes.
        if type(data) in (bool, int, float):
            try:
                return torch.full((), data, dtype=dtype, device=device)
            except (OverflowError, RuntimeError):
                # Too large for the dtype, so that a copy may be infinite.
                return as_tensor(data, dtype=dtype, device=device)
        if device is None or torch.is_tensor(data):
            return as_tensor(data, dtype=dtype, device=device)
        return sent_to_device(as_tensor(data, dtype=dtype), device)

    make_or_copy.makes_numbers = True
    return make_or_copy
