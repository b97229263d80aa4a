"""Numbers on accelerators, which are made there."""

import contextlib

from keras_capi.backend.accelerators import has_accelerator
from keras_capi.backend.active import BACKEND


@contextlib.contextmanager
def numbers_made_on_device():
    """Has torch make the numbers on an accelerator that it would copy there.

    Of each number of Python, such as the one in `ops.maximum(x, 1.0)`, Keras
    makes a tensor by `torch.as_tensor`. That copies it from the host, for which
    all that was launched before must end first, a hundred times in a step. A
    kernel that fills memory with it only takes its turn.
    """
    if BACKEND != "torch" or not has_accelerator():
        yield
        return
    import torch

    as_tensor = torch.as_tensor
    # A step that is compiled as a whole has its numbers in the code. One thread
    # does it for all.
    if torch.compiler.is_compiling() or hasattr(as_tensor, "makes_numbers"):
        yield
        return

    def make_or_copy(data, dtype=None, device=None):
        if isinstance(data, bool | int | float):
            return torch.full((), data, dtype=dtype, device=device)
        return as_tensor(data, dtype=dtype, device=device)

    make_or_copy.makes_numbers = True
    torch.as_tensor = make_or_copy
    try:
        yield
    finally:
        torch.as_tensor = as_tensor
