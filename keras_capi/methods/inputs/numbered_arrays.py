import keras
import numpy as np

from keras_capi import backend


class NumberedArrays(keras.utils.PyDataset):
    """Batches of arrays whose images can be chosen for each epoch.

    Has the interface of the data sets of `keras_capi.data` that know the
    numbers of their images. Each of several processes holds all arrays and
    takes its share of an epoch.

    Args:
        arrays: Dictionary of arrays, one entry for each image, `"indices"`
            among them.
        batch_size: Integer.
    """

    is_numbered = True

    def __init__(self, arrays, batch_size):
        super().__init__()
        self._arrays = arrays
        # Where each number occurs first.
        self.image_numbers, self._places = np.unique(
            arrays["indices"], return_index=True
        )
        self.batch_size = batch_size
        # The images of an epoch, in order; `None` is all of them.
        self.drawn_images = None

    @property
    def num_samples(self):
        return len(self._arrays["indices"]) // backend.num_processes()

    @property
    def settings(self):
        """See `keras_capi.data.RandomCrops.settings`."""
        shapes = {name: [*x.shape] for name, x in self._arrays.items()}
        return {"x": shapes, "batch_size": self.batch_size}

    def __len__(self):
        return -(-self.num_samples // self.batch_size)

    def __getitem__(self, index):
        images = self.drawn_images
        if images is None:
            images = self.image_numbers
        start = index * self.batch_size
        return (self.load_whole(images[start : start + self.batch_size]),)

    def load_whole(self, indices):
        """Returns a batch of the images with these numbers."""
        places = self._places[np.searchsorted(self.image_numbers, indices)]
        return {name: x[places] for name, x in self._arrays.items()}
