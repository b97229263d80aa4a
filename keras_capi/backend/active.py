"""The name of the active backend."""

import keras

BACKEND = keras.backend.backend()
