import warnings

import keras
import numpy as np

from keras_capi.data.numbered_dataset import NumberedDataset
from keras_capi.data.numbered_dataset import apply_to_batch
from keras_capi.validation import check_callable
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer
from keras_capi.validation import is_array


class RandomCrops(NumberedDataset):
    """Endless batches of random crops of images of different sizes.

    For pretraining on images larger than the model's input, and for making the
    most of few images. Works in `fit` on every backend.

    Args:
        images: List of arrays of shape `(height, width, channels)`, or what
            `load_images` returns. Sizes may differ.
        crop_size: Integer. Height and width of the crops.
        batch_size: Integer. Number of crops in a batch.
        num_batches: Integer. Number of batches in an epoch. The next epoch
            continues with new crops.
        augment: Callable or `None`. Maps a batch of crops to the model's input.
            For example a `keras.Sequential` of
            `keras_capi.layers.RandomResizedCrop`, `keras.layers.RandomFlip` and
            `keras_capi.layers.ImageNetNormalization`. Random layers continue
            from their current state, so an interrupted training continues with
            exactly the same batches only without them. Defaults to `None`.
        seed: Integer or `None`. Seed of the crops. `None` draws a new one each
            time: an interrupted training then continues with other crops than
            it would have had, and a warning says so. Defaults to `None`.
        **kwargs: Arguments of `keras.utils.PyDataset`.

    Raises:
        ValueError: If there are no images, something is not an array, an image
            is smaller than the crops, or numbers of channels or dtypes differ.

    Example:

    >>> photos = keras_capi.data.sample_photos()
    >>> crops = keras_capi.data.RandomCrops(
    ...     list(photos.values()), crop_size=96, batch_size=32, num_batches=100,
    ...     augment=keras_capi.layers.ImageNetNormalization(), seed=0,
    ... )
    >>> history = model.fit(crops, epochs=10)
    """

    def __init__(
        self,
        images,
        crop_size,
        batch_size,
        num_batches,
        augment=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (
            ("crop_size", crop_size),
            ("batch_size", batch_size),
            ("num_batches", num_batches),
        ):
            check_positive_integer(name, value)
        check_non_negative_integer("seed", seed, or_none=True)
        if augment is not None:
            check_callable("augment", augment)
        self.images = _check_images(images, crop_size)
        self.crop_size = crop_size
        self.batch_size = batch_size
        self.augment = augment
        self.seed = np.random.SeedSequence(seed).entropy
        self._has_seed = seed is not None
        self._has_begun = False
        self._num_batches = num_batches

    @property
    def settings(self):
        return {
            **super().settings,
            "num_images": len(self.images),
            "crop_size": self.crop_size,
            "batch_size": self.batch_size,
            "augment": self.augment,
            "seed": self.seed if self._has_seed else None,
        }

    def on_epoch_begin(self):
        self._has_begun = True
        super().on_epoch_begin()

    def go_to(self, epoch, batch):
        is_new = (epoch, batch) != (0, 0) and not self._has_begun
        if is_new and not self._has_seed:
            warnings.warn(
                "`RandomCrops` without a `seed` does not go on with the crops "
                "that would have come next, but with others: pass a `seed` "
                "before a training that may be interrupted",
                stacklevel=2,
            )
        super().go_to(epoch, batch)

    @property
    def epoch_length(self):
        return self._num_batches

    @property
    def num_images(self):
        return len(self.images)

    @property
    def num_samples(self):
        return self._num_batches * self.batch_size

    def make_batch(self, epoch, batch):
        # A generator for each batch, as workers may make them in any order.
        generator = np.random.default_rng((self.seed, epoch, batch))
        first, indices, crops = batch * self.batch_size, [], []
        for number in range(first, first + self.batch_size):
            if self.drawn_images is None:
                index = generator.integers(len(self.images))
            else:
                index = self.drawn_images[number]
            indices.append(index)
            crops.append(self._crop(index, generator.integers))
        return self.as_batch(self._augment(crops), indices)

    def load_whole(self, indices):
        crops = [self._crop(index, _halve) for index in indices]
        indices = np.array(indices, "int32")
        return {"images": self._augment(crops), "indices": indices}

    def _crop(self, index, choose):
        image = self.images[index]
        height, width = image.shape[:2]
        top, left = choose(
            (height - self.crop_size + 1, width - self.crop_size + 1)
        )
        return image[top : top + self.crop_size, left : left + self.crop_size]

    def _augment(self, crops):
        crops = np.stack(crops)
        if self.augment is None:
            return crops
        return apply_to_batch(self.augment, crops)


def _check_images(images, crop_size):
    """Returns images as a list, or raises a `ValueError`."""
    images = list(images.values() if isinstance(images, dict) else images)
    if not images:
        raise ValueError("`images` must not be empty. Received: []")
    for index, image in enumerate(images):
        if not is_array(image):
            raise ValueError(
                "`images` must be arrays; `keras_capi.data.load_images` reads "
                'those of a folder, and `np.load(path, mmap_mode="r")` a '
                ".npy file. Received: "
                f"images[{index}] of type {type(image).__name__}"
            )
        if len(image.shape) != 3 or min(image.shape[:2]) < crop_size:
            raise ValueError(
                "`images` must be arrays of shape (height, width, "
                "channels), no smaller than `crop_size`. Received: "
                f"images[{index}].shape={image.shape}, "
                f"crop_size={crop_size}"
            )
        if image.shape[-1] != images[0].shape[-1]:
            raise ValueError(
                "`images` must have the same number of channels. Received: "
                f"{images[0].shape[-1]}, and {image.shape[-1]} of "
                f"images[{index}]"
            )
        dtypes = [
            keras.backend.standardize_dtype(x.dtype) for x in (images[0], image)
        ]
        if dtypes[0] != dtypes[1]:
            # Values up to 255 and up to 1 would be mixed in one batch.
            raise ValueError(
                "`images` must have the same dtype. Received: "
                f"{dtypes[0]}, and {dtypes[1]} of images[{index}]"
            )
    return images


def _halve(counts):
    return [count // 2 for count in counts]
