"""How much of a vocabulary is used."""

from keras import ops

from keras_capi.ops.collectives import all_reduce_sum


def used_words(scores):
    """Returns the perplexity of the best words of a global batch.

    As many words as would be used, if all were used alike: from 1 to the size
    of the vocabulary, or the number of patches, if that is less.

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
