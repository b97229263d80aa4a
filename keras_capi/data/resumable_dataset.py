import keras


class ResumableDataset(keras.utils.PyDataset):
    """Base class of data sets that can resume in the middle of an epoch.

    A subclass has `epoch_length`, the number of batches in a whole epoch, and
    `make_batch(epoch, batch)`, which makes a batch from these arguments alone:
    workers may ask for batches in any order.

    Args:
        **kwargs: Arguments of `keras.utils.PyDataset`.
    """

    # This process uses part `index` of `count` parts of each epoch.
    share = (0, 1)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.go_to(0, 0)

    def go_to(self, epoch, batch):
        """Sets the next batch, to resume after an interruption.

        Args:
            epoch: Integer, counted from 0.
            batch: Integer. Batch within the epoch, which then has only the
                remaining batches.

        Raises:
            ValueError: If the epoch has no such batch.
        """
        if batch and not 0 < batch < self.epoch_length:
            raise ValueError(
                "`batch` must be one of the epoch, of "
                f"{self.epoch_length} batches. Received: batch={batch}"
            )
        self._epoch = epoch
        self._first_batch = batch
        self._is_running = False

    @property
    def position(self):
        """The current epoch, and the first batch of it that is used."""
        return self._epoch, self._first_batch

    @property
    def settings(self):
        """The settings that determine the batches, a dictionary for JSON.

        A subclass adds its own to those of the base class. A resumed training
        must have the same settings, see `keras_capi.callbacks.Checkpoint`.
        """
        return {"epoch_length": self.epoch_length}

    @property
    def epoch_length(self):
        raise NotImplementedError

    def make_batch(self, epoch, batch):
        raise NotImplementedError

    def __len__(self):
        return self.epoch_length - self._first_batch

    def __getitem__(self, index):
        return self.make_batch(self._epoch, self._first_batch + index)

    def on_epoch_begin(self):
        self._is_running = True

    def on_epoch_end(self):
        # Keras also calls this before the first epoch.
        if self._is_running:
            self.go_to(self._epoch + 1, 0)
