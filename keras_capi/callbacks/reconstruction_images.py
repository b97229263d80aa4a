from keras_capi.callbacks.epoch_pictures import EpochPictures
from keras_capi.validation import check_images
from keras_capi.validation import check_seed
from keras_capi.visualization.picture_grid import picture_grid
from keras_capi.visualization.reconstruction_pictures import (
    check_predicts_pixels,
)
from keras_capi.visualization.reconstruction_pictures import check_same_shape
from keras_capi.visualization.reconstruction_pictures import (
    reconstruction_pictures,
)


class ReconstructionImages(EpochPictures):
    """Draws a model's reconstruction of hidden patches after each epoch.

    See `keras_capi.visualization.reconstruction_pictures`. The masks are the
    same in each epoch, and the callback does not change the masks of the
    training.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: a few images, preferably held out.
        folder: String or path. Folder for `epoch_0001.png` and so on.
        pictures: The images as they should be drawn: uint8 array, or floats in
            `[0, 1]`, of the same shape. `None` scales `images` to that range.
            Defaults to `None`.
        log_dir: String, path or `None`. Folder to write the pictures to for
            TensorBoard, which needs its package. Defaults to `None`.
        every: Integer. Number of epochs between two pictures. Defaults to `1`.
        seed: Integer. Seed of the masks. Defaults to `0`.

    Raises:
        ImportError: If matplotlib or, with `log_dir`, tensorboard is not
            installed.
        ValueError: If an argument is out of range or, when `fit` starts, if the
            model predicts no pixels or the images do not fit it.

    Example:

    >>> encoder = keras_capi.encoders.ViT(
    ...     16, 1, 32, 2, image_shape=(64, 64, 3), positions="sine"
    ... )
    >>> model = keras_capi.methods.MAE(encoder)
    >>> model.compile(model.published_optimizer(100, batch_size=32))
    >>> pictures = keras_capi.callbacks.ReconstructionImages(images[:4], "run")
    >>> history = model.fit(images, epochs=20, callbacks=[pictures])

    Reference:

    - [MAE](https://arxiv.org/abs/2111.06377), figures 2 and 3
    """

    tag = "reconstructions"

    def __init__(
        self, images, folder, pictures=None, log_dir=None, every=1, seed=0
    ):
        super().__init__(images, folder, pictures, log_dir, every)
        check_seed("seed", seed, or_none=False)
        check_same_shape(images, self.pictures)
        self.seed = seed

    def set_model(self, model):
        super().set_model(model)
        check_predicts_pixels(model)
        encoder = model.encoder
        check_images(self.images, encoder.patch_size, encoder.image_shape[-1])

    def draw(self):
        return picture_grid(
            reconstruction_pictures(
                self.model, self.images, self.pictures, seed=self.seed
            )
        )
