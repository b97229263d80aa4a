import keras


class EpochHistory(keras.callbacks.History):
    """A history that knows of which epoch each value is.

    With `validation_freq`, there are fewer values of validation data than
    epochs. `epochs` is like `history`, with epochs in place of the values; they
    count from 1, as `validation_freq` does.
    """

    def __init__(self):
        super().__init__()
        self.epochs = {}

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        for name in logs or ():
            self.epochs.setdefault(name, []).append(epoch + 1)
