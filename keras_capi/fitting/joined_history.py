import keras

from keras_capi.fitting.epoch_history import EpochHistory


class JoinedHistory(EpochHistory):
    """The history of a training for which Keras's `fit` is called repeatedly.

    With each call, Keras would begin the list of epochs and the files of
    `keras.callbacks.CSVLogger` anew.

    Args:
        callbacks: List of the callbacks before this one.
    """

    def __init__(self, callbacks):
        super().__init__()
        self.epoch = []
        self._loggers = [
            callback
            for callback in callbacks
            if isinstance(callback, keras.callbacks.CSVLogger)
            and not callback.append
        ]

    def on_train_begin(self, logs=None):
        # By now the files are open, so this is for the next call.
        for logger in self._loggers:
            logger.append = True

    def release(self):
        """Lets the next training begin the files anew."""
        for logger in self._loggers:
            logger.append, logger.append_header = False, True
