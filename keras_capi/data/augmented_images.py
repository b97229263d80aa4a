import collections
import threading
import warnings

import numpy as np

from keras_capi.data.decode_window import decode_window
from keras_capi.data.epoch_order import check_fills_a_batch
from keras_capi.data.epoch_order import check_share
from keras_capi.data.epoch_order import draw_order
from keras_capi.data.image_files import ImageError
from keras_capi.data.image_files import skipped_message
from keras_capi.data.image_source import ImageSource
from keras_capi.data.numbered_dataset import NumberedDataset
from keras_capi.data.numbered_dataset import apply_to_batch
from keras_capi.data.random_window import random_window
from keras_capi.data.sixteen_bits import check_white_level
from keras_capi.data.whole_images import load_squares
from keras_capi.data.worker_counts import register
from keras_capi.data.worker_counts import with_counts
from keras_capi.layers.norms.imagenet_normalization import (
    imagenet_scale_and_offset,
)
from keras_capi.validation import check_bounds
from keras_capi.validation import check_callable
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer

# How often to try another image instead of one that cannot be read.
NUM_ATTEMPTS = 20
# After this many images the share of unreadable ones is reliable.
ENOUGH_TRIED = 1000


class AugmentedImages(NumberedDataset):
    """Batches of augmented images, for pretraining on images of any kind.

    Threads read, decode and augment images while the model trains: a random
    crop of each image, resized, flipped half of the time, and normalised, as
    published. Each epoch uses each image once, in a new order, and drops the
    last batch if it is not full.

    A batch is determined by the seed, the epoch and its number, whatever the
    number of workers. With `keras_capi.callbacks.Checkpoint` an interrupted
    training continues with exactly the batches that would have come next.

    Greyscale, CMYK, 16-bit, palette and transparent images become RGB, EXIF
    orientations are applied, and images that cannot be decoded are replaced by
    others. `counts` tells how many images of each kind were read so far, and
    `skipped` which could not be read, and why. Errors of the source itself end
    the training.

    Args:
        source: Path of a folder of images (searched with its subfolders), list
            of paths, `keras_capi.data.TarShards`, or anything with a length
            whose items are images: `datasets.Dataset` of Hugging Face,
            `tensorflow_datasets.data_source`, `ArrayRecordDataSource`, an
            array. Items may be paths, encoded bytes, PIL images, uint8 or
            uint16 arrays, or dictionaries with one of these.
        image_size: Integer. Height and width of the result. Defaults to `224`.
        batch_size: Integer. Images of a batch. Defaults to `64`.
        scale: Tuple of two floats. Bounds of the area of the crop, as a share
            of the image. Defaults to `(0.6, 1.0)`.
        aspect_ratio: Tuple of two floats. Bounds of the aspect ratio of the
            crop, width over height. Defaults to `(3 / 4, 4 / 3)`.
        normalization: Callable that turns a uint8 batch into floats, or
            `"imagenet"` for what `keras_capi.layers.ImageNetNormalization`
            computes. Defaults to `"imagenet"`.
        samples_per_image: Integer. How often each image is used in an epoch,
            with another crop each time. Raise it for data sets of few images.
            Defaults to `1`.
        key: String. The key of the image in items that are dictionaries.
            Defaults to `"image"`.
        share: Tuple `(index, count)`: this process uses part `index` of `count`
            parts of each epoch. Defaults to `(0, 1)`, all.
        seed: Integer. Seed of order and augmentation. A resumed training must
            use the same. Defaults to `0`.
        workers: Integer. Number of threads, each of which makes whole batches.
            With fewer than two, torch makes each batch between two steps.
            Defaults to `4`.
        max_skipped: Float in `[0, 1]`. Share of the images that may be
            unreadable; more raise an error. Defaults to `0.25`.
        white_level: Integer or `None`. The value that becomes white in 16-bit
            images, such as `4095` if they hold 12 bits. `None` uses `65535`,
            and warns of dark images. Defaults to `None`.
        **kwargs: Other arguments of `keras.utils.PyDataset`. Threads decode and
            resize in parallel, so that `use_multiprocessing` only pays off for
            sources in slow Python.

    Output shape:
        Tuple of one float32 array of shape `(batch_size, image_size,
        image_size, 3)`.

    Raises:
        ImportError: If Pillow is not installed.
        ValueError: If an argument is out of range, there are fewer images than
            a batch needs, too many cannot be read, or items are not images.

    Example:

    >>> dataset = keras_capi.data.AugmentedImages("photos", image_size=112)
    >>> model.fit(dataset, epochs=100)
    >>> dataset.counts
    ... # {"images": 640000, "greyscale": 1200, "unreadable": 100}

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4.1
    """

    def __init__(
        self,
        source,
        image_size=224,
        batch_size=64,
        scale=(0.6, 1.0),
        aspect_ratio=(3 / 4, 4 / 3),
        normalization="imagenet",
        samples_per_image=1,
        key="image",
        share=(0, 1),
        seed=0,
        workers=4,
        max_skipped=0.25,
        white_level=None,
        **kwargs,
    ):
        super().__init__(workers=workers, **kwargs)
        check_positive_integer("image_size", image_size)
        check_positive_integer("batch_size", batch_size)
        check_positive_integer("samples_per_image", samples_per_image)
        self.scale = check_bounds("scale", scale, largest=1.0)
        self.aspect_ratio = check_bounds("aspect_ratio", aspect_ratio)
        self.is_normalized = normalization == "imagenet"
        if self.is_normalized:
            normalization = _imagenet_normalization
        check_callable("normalization", normalization, '"imagenet"')
        check_number("max_skipped", max_skipped, "[0, 1]")
        check_white_level(white_level)
        check_non_negative_integer("seed", seed)
        check_non_negative_integer("workers", workers)
        self.share = check_share(share)
        images = ImageSource(source, key)
        check_fills_a_batch(len(images), samples_per_image, batch_size, share)
        self.source = images.items
        self._images = images
        self.image_size = image_size
        self.batch_size = batch_size
        self.normalization = normalization
        self.samples_per_image = samples_per_image
        self.key = key
        self.max_skipped = max_skipped
        self.white_level = white_level
        self.seed = seed
        self.counts = collections.Counter()
        self.skipped = {}
        self._lock = threading.Lock()
        self._key = register(self)

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "_lock"}

    def __setstate__(self, state):
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def settings(self):
        return {
            **super().settings,
            "num_images": len(self.source),
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            "scale": self.scale,
            "aspect_ratio": self.aspect_ratio,
            "normalization": self.normalization,
            "samples_per_image": self.samples_per_image,
            "key": self.key,
            "share": self.share,
            "white_level": self.white_level,
            "seed": self.seed,
        }

    @property
    def epoch_length(self):
        return self.num_samples // self.batch_size

    @property
    def num_images(self):
        return len(self._images)

    @property
    def num_samples(self):
        return self.num_images * self.samples_per_image // self.share[1]

    def make_batch(self, epoch, batch):
        first = batch * self.batch_size
        indices = self._order(epoch)[first : first + self.batch_size].copy()
        found = (collections.Counter(), {})
        shape = (self.batch_size, self.image_size, self.image_size, 3)
        images = np.empty(shape, "uint8")
        try:
            for n, index in enumerate(indices):
                seed = (self.seed, epoch, first + n)
                # Another image, if this one cannot be read.
                images[n], indices[n] = self._prepare(int(index), seed, *found)
        finally:
            self.add_counts(*found)
        self._check_skipped()
        made = self.as_batch(self._normalize(images), indices)
        return with_counts(made, self._key, *found)

    def load_whole(self, indices):
        images, indices = load_squares(
            self._images, indices, self.image_size, self.white_level
        )
        return {"images": self._normalize(images), "indices": indices}

    def _normalize(self, images):
        images = apply_to_batch(self.normalization, images)
        return images.astype("float32", copy=False)

    def add_counts(self, counts, skipped):
        """Adds the findings of a batch to `counts` and `skipped`."""
        with self._lock:
            self.counts.update(counts)
            self.skipped.update(skipped)

    def on_epoch_end(self):
        # Worker processes only know what they skipped themselves.
        self._check_skipped()
        with self._lock:
            skipped = dict(self.skipped)
        if skipped:
            message = skipped_message(skipped, len(self._images))
            # Python shows each message once.
            warnings.warn(message, stacklevel=2)
        super().on_epoch_end()

    def _check_skipped(self):
        with self._lock:
            tried = self.counts["images"] + self.counts["unreadable"]
            known = min(len(self._images), max(tried, ENOUGH_TRIED))
            if len(self.skipped) <= self.max_skipped * known:
                return
            skipped = dict(self.skipped)
        self._raise_unreadable(skipped)

    def _raise_unreadable(self, skipped):
        raise ValueError(
            "The images must be readable, except for a share of `max_skipped`: "
            "leave out those that are not, or raise it. Received: "
            f"max_skipped={self.max_skipped}. "
            f"{skipped_message(skipped, len(self._images))}"
        )

    def _order(self, epoch):
        if self.drawn_images is not None:
            return self.drawn_images
        num_times, seed = self.samples_per_image, (self.seed, epoch)
        return draw_order(self.num_images, num_times, self.share, seed)

    def _prepare(self, index, seed, counts, skipped):
        # Counted from 1: trailing zeros do not change a seed, so that 0 would
        # give the seed of the order, which has no place.
        generator = np.random.default_rng((*seed, self.share[0] + 1))

        def draw_window(size):
            return random_window(generator, size, self.scale, self.aspect_ratio)

        for _ in range(NUM_ATTEMPTS):
            image, name = self._images[index]
            try:
                image, kinds = decode_window(
                    image, self.image_size, draw_window, self.white_level
                )
            except ImageError as error:
                counts["unreadable"] += 1
                # The message and not the error, which would keep the whole
                # batch alive; without the address of the bytes, which changes
                # with each epoch.
                skipped[name] = str(error).split(" <_io.BytesIO")[0]
                index = int(generator.integers(len(self._images)))
                continue
            counts.update(["images", *kinds])
            step = -1 if generator.random() < 0.5 else 1
            return np.asarray(image)[:, ::step], index
        self._raise_unreadable({**self.skipped, **skipped})


def _imagenet_normalization(images):
    # In NumPy, so that threads do not compete for the model's device. The
    # channels of a row are one axis: NumPy is slow along an axis of 3.
    scale, offset = (
        np.tile(values.astype("float32"), images.shape[2])
        for values in imagenet_scale_and_offset((0, 255))
    )
    normalized = images.reshape(*images.shape[:2], -1) * scale
    normalized += offset
    return normalized.reshape(images.shape)
