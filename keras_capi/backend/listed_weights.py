"""The trainable weights of a model, listed once a step."""

import contextlib
import threading

from keras_capi.backend.active import BACKEND

# The model whose step runs in this thread, and its weights once listed.
_here = threading.local()


@contextlib.contextmanager
def weights_listed_once(model):
    """Makes torch list the trainable weights of a model once in this context.

    For Keras's training step, which asks for them three times after the forward
    pass, and each time visits every layer: about a millisecond on the host.
    Steps of the other backends are compiled. In between the weights cannot
    change, but between two steps they may.

    Args:
        model: A model whose `trainable_weights` asks `listed_weights`.
    """
    if BACKEND != "torch" or _is_compiling() or _model() is not None:
        yield
        return
    _here.model, _here.weights = model, None
    try:
        yield
    finally:
        _here.model = _here.weights = None


def listed_weights(model, list_weights):
    """Returns the list of a model's trainable weights.

    Args:
        model: The model.
        list_weights: Function without arguments that makes the list.
    """
    if _model() is not model:
        return list_weights()
    if _here.weights is None:
        _here.weights = list_weights()
    # As each of Keras's lists, the caller's own.
    return _here.weights[:]


def _model():
    return getattr(_here, "model", None)


def _is_compiling():
    import torch

    # The compiler lists them once for all steps.
    return torch.compiler.is_compiling()
