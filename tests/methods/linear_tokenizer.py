"""A tokenizer that is there at once.

In a module of its own, as tests import each other under two names, and Keras
knows one class by a name.
"""

import keras

import keras_capi

NUM_WORDS = 8


@keras.saving.register_keras_serializable(package="tests")
class LinearTokenizer(keras_capi.tokenizers.Tokenizer):
    """Words by random directions, for images of any number of channels."""

    def __init__(self, num_channels, **kwargs):
        super().__init__(2, NUM_WORDS, num_channels, **kwargs)
        self.scores = keras.layers.Conv2D(
            NUM_WORDS,
            self.patch_size,
            strides=self.patch_size,
            use_bias=False,
            data_format="channels_last",
            dtype="float32",
        )
        self.scores.build((None, None, None, num_channels))
        self.built = True

    def call(self, images, training=None):
        return self.scores(images)

    def get_config(self):
        config = {**super().get_config(), "num_channels": self.num_channels}
        config.pop("vocabulary_size")
        return config
