from keras import ops

from keras_capi import backend
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_unless_symbolic

# On a processor 4 MiB of float32: few enough to be read again at low cost,
# enough to be worth a round of the loop. An accelerator has a hundred small
# things to start in each round, for which 256 MiB give time enough. Replicas
# meet in each chunk.
NUMBERS_PER_CHUNK = 2**20
NUMBERS_PER_CHUNK_OF_ACCELERATORS = 2**26
MAX_NUM_CHUNKS = 24


def choose_chunk_size(length, numbers_per_item):
    """Chooses what part of an axis to compute at a time.

    Args:
        length: Integer. The length of the axis.
        numbers_per_item: Integer. How many numbers the largest tensor has for
            each item of the axis.

    Returns:
        Integer. Chunks of about a million numbers on a processor, of 64
        million on accelerators, 24 chunks at most.

    Example:

    >>> keras_capi.ops.choose_chunk_size(196, numbers_per_item=16 * 4096)
    17
    """
    for name, value in (
        ("length", length),
        ("numbers_per_item", numbers_per_item),
    ):
        check_unless_symbolic(check_positive_integer, name, value)
    numbers_per_chunk = NUMBERS_PER_CHUNK
    if backend.has_accelerator():
        numbers_per_chunk = NUMBERS_PER_CHUNK_OF_ACCELERATORS
    num_chunks = round(length * numbers_per_item / numbers_per_chunk)
    num_chunks = min(max(num_chunks, 1), MAX_NUM_CHUNKS)
    return -(-length // num_chunks)


def sum_over_chunks(function, length, chunk_size, shapes):
    """Sums what a function computes for the parts of an axis.

    One part after the other: in a sequence without a loop, XLA would compute
    several at a time, and hold what each of them needs.

    Args:
        function: Function of where a chunk starts, an integer or a scalar
            tensor, and its size, an integer. Returns float32 tensors. It may
            call what is in `keras_capi.ops.collectives`.
        length: Integer. The length of the axis.
        chunk_size: Integer. The last chunk may be smaller.
        shapes: The shapes of these tensors.

    Returns:
        Tuple of float32 tensors. They must not need a gradient.

    Example:

    >>> tokens = keras.random.normal((8, 5, 16))
    >>> def total(start, size):
    ...     part = keras_capi.ops.slice_tokens(tokens, start, size)
    ...     return [keras.ops.sum(part, axis=1)]
    >>> (sums,) = keras_capi.ops.sum_over_chunks(
    ...     total, length=5, chunk_size=2, shapes=[(8, 16)]
    ... )
    """
    check_positive_integer("length", length)
    check_positive_integer("chunk_size", chunk_size)
    num_chunks, num_left = divmod(length, chunk_size)

    def add(start, size, sums):
        parts = function(start, size)
        return tuple(
            total + ops.stop_gradient(part)
            for total, part in zip(sums, parts, strict=True)
        )

    def add_chunk(index, sums):
        return add(index * chunk_size, chunk_size, sums)

    sums = tuple(ops.zeros(shape, "float32") for shape in shapes)
    if num_chunks > 1 and backend.replica()[1] == 1:
        sums = ops.fori_loop(0, num_chunks, add_chunk, sums)
        # XLA compiles no gradient of a loop of TensorFlow, not even of zero.
        sums = tuple(map(ops.stop_gradient, sums))
    else:
        # Replicas of TensorFlow cannot meet within a loop of a graph.
        for index in range(num_chunks):
            sums = add_chunk(index, sums)
    return add(length - num_left, num_left, sums) if num_left else sums
