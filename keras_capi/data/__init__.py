"""Image data sets: your own images, and sample photographs."""

from keras_capi.data.augmented_images import AugmentedImages
from keras_capi.data.image_files import find_images
from keras_capi.data.image_folder import load_images
from keras_capi.data.image_loader import ImageLoader
from keras_capi.data.load_labelled_images import load_labelled_images
from keras_capi.data.load_segmentation import load_segmentation
from keras_capi.data.random_crops import RandomCrops
from keras_capi.data.resizing import resize_shorter_side
from keras_capi.data.sample_photos import sample_photos
from keras_capi.data.tar_shards import TarShards
from keras_capi.data.view_batches import ViewBatches

__all__ = [
    "AugmentedImages",
    "ImageLoader",
    "RandomCrops",
    "TarShards",
    "ViewBatches",
    "find_images",
    "load_images",
    "load_labelled_images",
    "load_segmentation",
    "resize_shorter_side",
    "sample_photos",
]
