from keras import ops

from keras_capi import backend
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_unless_symbolic

# On a CPU 4 MiB of float32: small enough to be read again at low cost, large
# enough to be worth an iteration of the loop. An accelerator starts about a
# hundred small kernels in each iteration, for which 256 MiB give enough time.
# Replicas synchronise in each chunk.
NUMBERS_PER_CHUNK = 2**20
NUMBERS_PER_CHUNK_OF_ACCELERATORS = 2**26
MAX_NUM_CHUNKS = 24


def choose_chunk_size(length, numbers_per_item):
    """Chooses how many items of an axis to compute at a time.

    Args:
        length: Integer. The length of the axis.
        numbers_per_item: Integer. Size of the largest tensor, in numbers for
            each item of the axis.

    Returns:
        Integer: the size of chunks of about a million numbers on a CPU, and of
        64 million on accelerators; at most 24 chunks.

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
    """Sums the results of a function over the chunks of an axis.

    Computes one chunk after the other in a loop. Without a loop, XLA would
    compute several at a time, and hold the memory of all of them.

    Args:
        function: Function of the start of a chunk, an integer or scalar tensor,
            and its size, an integer, that returns float32 tensors. It may call
            the functions of `keras_capi.ops.collectives`.
        length: Integer. The length of the axis.
        chunk_size: Integer. The last chunk may be smaller.
        shapes: Sequence of the shapes of these tensors.

    Returns:
        Tuple of float32 tensors, which have no gradient.

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
        # XLA cannot compile the gradient of a TensorFlow loop, not even zero.
        sums = tuple(map(ops.stop_gradient, sums))
    else:
        # Replicas of TensorFlow cannot synchronise in a loop of a graph.
        for index in range(num_chunks):
            sums = add_chunk(index, sums)
    return add(length - num_left, num_left, sums) if num_left else sums
