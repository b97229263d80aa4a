import keras
import numpy as np

from keras_capi.data.resumable_dataset import ResumableDataset


class NumberedDataset(ResumableDataset):
    """Base class of data sets whose batches know the numbers of their images.

    Methods that make targets between epochs, such as
    `keras_capi.methods.DeepCluster`, identify images by their numbers. Their
    `fit` sets `is_numbered`; while it is set, batches are dictionaries of
    `"images"` and `"indices"`. It may also set `drawn_images`, an array of
    numbers, to define which images the batches of an epoch contain, in order.

    A subclass has `num_images`; `num_samples`, the number of images in an
    epoch; and `load_whole(indices)`, which returns a batch of the given images
    without augmentation.

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
        """Returns what `make_batch` should return.

        Args:
            images: Array of shape `(batch, height, width, channels)`.
            indices: Sequence of integers: the numbers of the images.
        """
        if not self.is_numbered:
            return (images,)
        return ({"images": images, "indices": np.array(indices, "int32")},)


def apply_to_batch(function, images):
    """Applies a function, of any backend or none, to a batch.

    Args:
        function: Callable.
        images: Array.
    """
    images = function(images)
    if isinstance(images, np.ndarray):
        return images
    return keras.ops.convert_to_numpy(images)
