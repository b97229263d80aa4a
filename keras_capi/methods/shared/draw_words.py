"""Words one after the other, each by its probability."""

import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive
from keras_capi.validation import check_seed


def draw_words(predict_logits, token_ids, num_given, temperature, seed):
    """Draws the last words of texts.

    Each step computes the scores of all places anew.

    Args:
        predict_logits: Function from the array of all words to scores of shape
            `(batch, places, words)`, of which those of a place depend on the
            words before it alone.
        token_ids: Integer tensor of shape `(batch, places)`.
        num_given: Integer. How many of each text are kept.
        temperature: Float. Divides the scores.
        seed: Integer.

    Returns:
        Integer array of the shape of `token_ids`.
    """
    check_non_negative_integer("num_given", num_given)
    check_positive("temperature", temperature)
    check_seed("seed", seed, or_none=False)
    token_ids = ops.convert_to_numpy(token_ids).copy()
    predict_logits = backend.compiled(predict_logits)
    generator = np.random.default_rng(seed)
    for place in range(num_given, token_ids.shape[1]):
        logits = ops.cast(predict_logits(token_ids)[:, place], "float32")
        # The highest sum with such noise is a draw by probability.
        noise = generator.gumbel(size=logits.shape)
        scores = ops.convert_to_numpy(logits) / temperature + noise
        token_ids[:, place] = np.argmax(scores, axis=-1)
    return token_ids
