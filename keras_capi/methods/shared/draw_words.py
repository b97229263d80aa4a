"""Sampling of words one after the other."""

import keras
import numpy as np
from keras import ops

from keras_capi import backend
from keras_capi.encoders.image_gpt_parts import encode_next
from keras_capi.layers.blocks.block_stack import make_caches
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive
from keras_capi.validation import check_seed


def draw_words(encoder, head, token_ids, num_given, temperature, seed):
    """Samples the last words of sequences.

    Keys and values of earlier positions are cached, so that each step computes
    only one position.

    Args:
        encoder: `keras_capi.encoders.ImageGPTEncoder` that is causal.
        head: Layer that turns the encoder's output at a position into scores of
            its word.
        token_ids: Integer tensor of shape `(batch, places)`.
        num_given: Integer. How many words of each sequence to keep.
        temperature: Float. Divides the scores.
        seed: Integer.

    Returns:
        Integer array of the shape of `token_ids`.
    """
    check_non_negative_integer("num_given", num_given)
    check_positive("temperature", temperature)
    check_seed("seed", seed, or_none=False)
    token_ids = ops.convert_to_numpy(token_ids).copy()
    batch_size, num_places = token_ids.shape
    if num_given >= num_places:
        return token_ids

    def predict_next(words, caches, place):
        encoded, caches = encode_next(encoder, words, caches, place)
        logits = ops.cast(head(encoded)[:, 0], "float32")
        # Otherwise torch would keep ever more for gradients.
        return keras.tree.map_structure(ops.stop_gradient, (logits, caches))

    predict_next = backend.compiled(predict_next)
    generator = np.random.default_rng(seed)
    words = np.zeros_like(token_ids[:, 0])
    caches = make_caches(encoder.blocks, batch_size, num_places)
    for place in range(num_places):
        # A tensor, because a new number would compile the function again.
        place_tensor = ops.convert_to_tensor(place, "int32")
        logits, caches = predict_next(words, caches, place_tensor)
        if place >= num_given:
            # Gumbel noise makes the highest sum a sample of the distribution.
            noise = generator.gumbel(size=logits.shape)
            scores = ops.convert_to_numpy(logits) / temperature + noise
            token_ids[:, place] = np.argmax(scores, axis=-1)
        words = token_ids[:, place]
    return token_ids
