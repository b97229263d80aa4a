"""Measures how much of a vocabulary is used."""

from keras import ops

from keras_capi.ops.collectives import all_reduce_sum


def used_words(scores):
    """Returns the perplexity of the most likely words of a global batch.

    This is an effective number of words: from 1 up to the size of the
    vocabulary, or to the number of patches if that is smaller.

    Args:
        scores: Float tensor of shape `(..., words)`.

    Returns:
        Float32 scalar tensor.
    """
    size = scores.shape[-1]
    words = ops.one_hot(ops.argmax(scores, axis=-1), size, dtype="float32")
    counts = all_reduce_sum(ops.sum(ops.reshape(words, (-1, size)), axis=0))
    shares = counts / ops.sum(counts)
    entropy = -ops.sum(shares * ops.log(ops.maximum(shares, 1e-30)))
    return ops.exp(entropy)
