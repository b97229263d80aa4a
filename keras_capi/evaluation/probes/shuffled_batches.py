import keras
import numpy as np


class ShuffledBatches(keras.utils.PyDataset):
    """Shuffled batches of several features of the same samples.

    Its length is a number of steps, not of epochs. An epoch ends where no full
    batch is left, and the next one has a new order. The order depends only on
    the seed, so that every backend sees the same batches. Memory-mapped arrays
    are read batch by batch.

    Args:
        features: Dictionary of arrays whose first axis is that of the samples.
        labels: Integer array of shape `(samples,)`.
        indices: Integer array. Which samples to use, at least `batch_size`.
        batch_size: Integer.
        num_steps: Integer. Number of batches.
        seed: Integer.

    Example:

    >>> batches = ShuffledBatches(
    ...     {"global": np.zeros((100, 8))}, np.zeros(100, int), np.arange(90),
    ...     batch_size=16, num_steps=1000, seed=0,
    ... )
    >>> features, labels = batches[0]
    >>> features["global"].shape  # (16, 8)
    """

    def __init__(self, features, labels, indices, batch_size, num_steps, seed):
        super().__init__()
        self.features = features
        self.labels = labels
        self.indices = indices
        self.batch_size = batch_size
        self.num_steps = num_steps
        self.seed = seed
        self._pass_number = None

    def __len__(self):
        return self.num_steps

    def __getitem__(self, step):
        batches_per_pass = len(self.indices) // self.batch_size
        pass_number, batch_number = divmod(step, batches_per_pass)
        if pass_number != self._pass_number:
            generator = np.random.default_rng([self.seed, pass_number])
            self._order = generator.permutation(self.indices)
            self._pass_number = pass_number
        start = batch_number * self.batch_size
        chosen = self._order[start : start + self.batch_size]
        features = {
            name: np.asarray(values[chosen], "float32")
            for name, values in self.features.items()
        }
        return features, np.asarray(self.labels[chosen], "int32")
