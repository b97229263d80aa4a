import keras
import numpy as np

from keras_capi import backend
from keras_capi.data.resumable_dataset import ResumableDataset
from keras_capi.validation import check_non_negative_integer
from keras_capi.validation import check_positive_integer


class ViewBatches(ResumableDataset):
    """Makes views of another data set's images in threads, during training.

    By default, methods make their views in the training step, on the device
    that trains. With this data set, threads make them on the CPU instead, which
    pays off if it has cores to spare and the device is the bottleneck. On JAX
    and TensorFlow the first batch compiles `views`, which takes seconds.

    The views of a batch are determined by the seed, the epoch and its number,
    whatever the number of workers, so that an interrupted training continues
    with exactly the batches that would have come next.

    Args:
        dataset: `keras_capi.data.AugmentedImages` or
            `keras_capi.data.RandomCrops`, whose images are normalised, and
            large enough for sharp views. Its own `workers` has no effect.
        views: `keras_capi.layers.MultiCrop`, or another layer of random views.
            Its own `seed` has no effect.
        seed: Integer. Seed of the views. Defaults to `0`.
        workers: Integer. Number of threads, each of which makes whole batches.
            With fewer than two, torch makes each batch between two steps.
            Defaults to `4`.
        max_queue_size: Integer. Number of batches to keep ready. Defaults to
            `4`, as views take much memory.

    Output shape:
        Tuple of one item: the output of `views`, as float32 NumPy arrays.

    Raises:
        ValueError: If `dataset` or `views` is of another type.

    Example:

    >>> images = keras_capi.data.AugmentedImages(
    ...     "photos", image_size=96, scale=(1.0, 1.0), aspect_ratio=(1.0, 1.0)
    ... )
    >>> multi_crop = keras_capi.layers.MultiCrop(64, 32)
    >>> dataset = keras_capi.data.ViewBatches(images, multi_crop)
    >>> (views,) = dataset[0]
    >>> views["local_views"].shape  # (64, 8, 32, 32, 3)

    Reference:

    - [DINO](https://arxiv.org/abs/2104.14294), whose code makes views in this
      way
    """

    def __init__(self, dataset, views, seed=0, workers=4, max_queue_size=4):
        super().__init__(workers=workers, max_queue_size=max_queue_size)
        if not isinstance(dataset, ResumableDataset):
            raise ValueError(
                "`dataset` must be a data set of `keras_capi.data`. "
                f"Received: dataset={dataset!r}"
            )
        if not hasattr(views, "numbers_per_image"):
            raise ValueError(
                "`views` must be a layer of random views, such as "
                f"`keras_capi.layers.MultiCrop`. Received: views={views!r}"
            )
        check_non_negative_integer("seed", seed)
        check_non_negative_integer("workers", workers)
        check_positive_integer("max_queue_size", max_queue_size)
        self.dataset = dataset
        self.views = views
        self.seed = seed
        self._make_views = backend.compiled(self._views_of)

    @property
    def settings(self):
        return {
            **self.dataset.settings,
            "dataset": type(self.dataset).__name__,
            "views": keras.saving.serialize_keras_object(self.views),
            "views_seed": self.seed,
        }

    @property
    def epoch_length(self):
        return self.dataset.epoch_length

    @property
    def batch_size(self):
        return self.dataset.batch_size

    @property
    def num_images(self):
        return self.dataset.num_images

    @property
    def is_numbered(self):
        """See `NumberedDataset`. The other data set may be one."""
        return self.dataset.is_numbered

    @is_numbered.setter
    def is_numbered(self, value):
        self.dataset.is_numbered = value

    def make_batch(self, epoch, batch):
        (images,) = self.dataset.make_batch(epoch, batch)
        indices = {}
        if isinstance(images, dict):
            indices = {"indices": images["indices"]}
            images = images["images"]
        # A separate random stream, which nothing else with the same seed
        # shares.
        seed = np.random.SeedSequence(
            (self.seed, epoch, batch, self.dataset.share[0]), spawn_key=(1,)
        )
        numbers = np.random.default_rng(seed).random(
            (len(images), self.views.numbers_per_image), dtype="float32"
        )
        # The device is busy training.
        with keras.device("cpu"):
            views = self._make_views(images, numbers)
            views = keras.tree.map_structure(keras.ops.convert_to_numpy, views)
        if indices:
            views = views if isinstance(views, dict) else {"images": views}
            views = {**views, **indices}
        return (views,)

    def _views_of(self, images, numbers):
        views = self.views(images, numbers=numbers)
        return keras.tree.map_structure(
            lambda view: keras.ops.cast(view, "float32"), views
        )

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()
        super().on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()
        super().on_epoch_end()
