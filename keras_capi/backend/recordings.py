"""Records compiled blocks as CUDA graphs, which the host starts at once."""

import collections
import contextlib
import threading
import warnings

# A shape is recorded when it comes again, not the rest of an epoch's images.
NUM_CALLS_BEFORE = 1
# For how many shapes to record a call: those of masks may differ in each step.
MOST_SHAPES = 2
# The share of a card's memory that must be free for a further recording.
FREE_SHARE = 0.5

_here = threading.local()


class Recordings:
    """What the blocks of one model do in a training step, recorded.

    The host takes longer to start the kernels of a block, one by one, than a
    fast card to run them. A recording starts all of them at once.

    It reads and writes the same memory each time, so each call of a step has
    its own: of two calls of one block, the second must not overwrite what the
    first has left for the backward pass.
    """

    def __init__(self):
        self._recorded = {}
        self._num_calls = collections.Counter()
        self._num_calls_in_step = collections.Counter()
        self._num_shapes = collections.Counter()
        self._shared_memory = None
        self._failed = False

    def begin_step(self):
        self._num_calls_in_step.clear()

    def call(self, block, function, weights, tensors):
        """Calls a function, or replays what it did before.

        Args:
            block: The block that the function computes.
            function: Function of `weights` and `tensors`, which always computes
                the same of them, to a tensor.
            weights: List of torch tensors.
            tensors: List of torch tensors and `None`.

        Returns:
            Tensor, which the next step overwrites.
        """
        if self._failed or not _can_record(tensors):
            return function(weights, tensors)
        number = self._num_calls_in_step[id(block), function]
        self._num_calls_in_step[id(block), function] += 1
        place = id(block), function, number
        key = *place, *map(_signature, (*weights, *tensors))
        if key not in self._recorded and self._is_worth(place, key):
            try:
                self._recorded[key] = self._record(function, weights, tensors)
                self._num_shapes[place] += 1
            except Exception as error:
                self._give_up(error)
        if key not in self._recorded:
            return function(weights, tensors)
        return self._recorded[key](*weights, *_given(tensors))

    def _is_worth(self, place, key):
        """Returns whether to record this call of a step."""
        self._num_calls[key] += 1
        return (
            self._num_calls[key] > NUM_CALLS_BEFORE
            and self._num_shapes[place] < MOST_SHAPES
            and _has_room()
        )

    def _record(self, function, weights, tensors):
        import torch

        is_given = [x is not None for x in tensors]

        def run(*arguments):
            arguments = iter(arguments)
            weights_now = [next(arguments) for _ in weights]
            tensors_now = [next(arguments) if x else None for x in is_given]
            return function(weights_now, tensors_now)

        # Weights are read where they are, tensors are copied to these ones. All
        # are leaves of their own, as torch ties leaves to a recording's stream.
        arguments = [
            *(torch.nn.Parameter(x.detach(), x.requires_grad) for x in weights),
            *(
                x.detach().clone().requires_grad_(x.requires_grad)
                for x in _given(tensors)
            ),
        ]
        pool = None
        if not any(x.requires_grad for x in arguments):
            # Nothing is left for a backward pass but the output, which is kept,
            # so recordings may use the same memory one after the other.
            if self._shared_memory is None:
                self._shared_memory = torch.cuda.graph_pool_handle()
            pool = self._shared_memory
        with warnings.catch_warnings():
            # Trial runs, which torch makes first, are on a stream of their own.
            warnings.filterwarnings("ignore", "The AccumulateGrad node")
            return torch.cuda.make_graphed_callables(
                run, tuple(arguments), allow_unused_input=True, pool=pool
            )

    def _give_up(self, error):
        self._failed = True
        warnings.warn(
            "torch cannot record parts of a step as CUDA graphs here, so the "
            "processor starts each of their kernels, which takes it longer. "
            "`compile(..., jit_compile=False)` does not try, and is silent. "
            f"The error was: {error}",
            stacklevel=2,
        )


@contextlib.contextmanager
def without_recordings():
    """Leaves calls unrecorded, as recordings keep all that they compute."""
    before = getattr(_here, "is_off", False)
    _here.is_off = True
    try:
        yield
    finally:
        _here.is_off = before


def _can_record(tensors):
    return not getattr(_here, "is_off", False) and all(
        x.is_cuda for x in _given(tensors)
    )


def _has_room():
    import torch

    free, total = torch.cuda.mem_get_info()
    return free > FREE_SHARE * total


def _given(tensors):
    return [x for x in tensors if x is not None]


def _signature(x):
    """Returns what must be the same for a recording to be right."""
    return x if x is None else (x.shape, x.dtype, x.requires_grad)
