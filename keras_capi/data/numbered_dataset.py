import keras
import numpy as np

from keras_capi.data.resumable_dataset import ResumableDataset


class NumberedDataset(ResumableDataset):
    """Base of data sets that know which image of the source is which.

    Methods that make targets between epochs, such as
    `keras_capi.methods.DeepCluster`, know images by their numbers. Their `fit`
    sets `is_numbered`, and batches are dictionaries of `"images"` and
    `"indices"` for so long; it may set `drawn_images`, an array of numbers, to
    say which images the batches of an epoch have, in order.

    A subclass has `num_images`, `num_samples`, how many an epoch has of them,
    and `load_whole(indices)`, the batch of certain images, not augmented.

    Args:
        **kwargs: Arguments of `keras.utils.PyDataset`.
    """

    is_numbered = False
    drawn_images = None

    @property
    def num_images(self):
        raise NotImplementedError

    @property
    def num_samples(self):
        raise NotImplementedError

    @property
    def image_numbers(self):
        return np.arange(self.num_images)

    def load_whole(self, indices):
        raise NotImplementedError

    def as_batch(self, images, indices):
        """Returns what `make_batch` does.

        Args:
            images: Array of shape `(batch, height, width, channels)`.
            indices: Sequence of integers: their numbers.
        """
        if not self.is_numbered:
            return (images,)
        return ({"images": images, "indices": np.array(indices, "int32")},)


def apply_to_batch(function, images):
    """Returns what a function, on any backend or none, makes of a batch.

    Args:
        function: Callable.
        images: Array.
    """
    images = function(images)
    if isinstance(images, np.ndarray):
        return images
    return keras.ops.convert_to_numpy(images)
