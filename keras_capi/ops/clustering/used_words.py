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
    words = ops.reshape(ops.argmax(scores, axis=-1), (-1,))
    # A row for each patch would take torch twelve bytes for each of the scores.
    counts = ops.segment_sum(
        ops.ones_like(words, dtype="float32"), words, scores.shape[-1]
    )
    counts = all_reduce_sum(counts)
    shares = counts / ops.sum(counts)
    entropy = -ops.sum(shares * ops.log(ops.maximum(shares, 1e-30)))
    return ops.exp(entropy)
