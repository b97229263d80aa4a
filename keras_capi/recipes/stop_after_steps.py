import keras


class StopAfterSteps(keras.callbacks.Callback):
    """Ends a training after a number of batches, in the middle of an epoch.

    Batches are counted over all epochs and interruptions. Put it before
    `keras_capi.callbacks.Checkpoint`, which then treats the batch as the last
    one of the epoch.

    Args:
        dataset: The data set of `fit`, with `epoch_length` and `position`, see
            `keras_capi.data.AugmentedImages`.
        num_steps: Integer. Batches of the whole training.
    """

    reads_step_logs = False

    def __init__(self, dataset, num_steps):
        super().__init__()
        self.dataset = dataset
        self.num_steps = num_steps

    def on_epoch_begin(self, epoch, logs=None):
        _, first_batch = self.dataset.position
        self.first_step = epoch * self.dataset.epoch_length + first_batch

    def on_train_batch_end(self, batch, logs=None):
        if self.first_step + batch + 1 >= self.num_steps:
            self.model.stop_training = True
