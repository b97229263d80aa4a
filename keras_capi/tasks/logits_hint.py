import warnings

import keras

LOSSES = (
    keras.losses.binary_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
)


def warn_of_logits(loss):
    """Warns if a loss takes the logits of a head for probabilities.

    Keras clips values that are not probabilities, and silently trains badly.

    Args:
        loss: What `compile` was given.
    """
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if loss in LOSSES or getattr(loss, "from_logits", None) is False:
        name = getattr(loss, "name", None) or loss.__name__
        warnings.warn(
            "The head returns logits, but the loss expects probabilities. Pass "
            "`from_logits=True` to it, as in "
            "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`, "
            'or make an `ImageClassifier` with `activation="softmax"`. '
            f"Received: loss={name}",
            stacklevel=3,
        )
