import math

from keras_capi.callbacks.epoch_pictures import EpochPictures
from keras_capi.callbacks.images import feature_map_shape
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.optional_imports import import_optional
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.picture_grid import picture_grid


class FeatureImages(EpochPictures):
    """Draws the features of some images after each epoch.

    The first three principal components of the patch features become red, green
    and blue, as in `keras_capi.visualization.feature_pictures`. The features
    are those of the model's `predict`: of the teacher of CAPI and DINO, of the
    encoder of MAE, or of any other model. The components' signs follow those of
    the last picture, so that colours only change where features do.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: a few images.
        folder: String or path. Folder for `epoch_0001.png` and so on.
        pictures: Images to draw beside the features: uint8 array, or floats in
            `[0, 1]`, of shape `(samples, height, width, 3)`. `None` scales
            `images` to that range, and draws the first three channels if there
            are more. Defaults to `None`.
        log_dir: String, path or `None`. Folder to write the pictures to for
            TensorBoard, which needs its package. Defaults to `None`.
        every: Integer. Number of epochs between two pictures. Defaults to `1`.

    Raises:
        ImportError: If matplotlib, scikit-learn or, with `log_dir`, tensorboard
            is not installed.
        ValueError: If an argument is out of range or, when `fit` starts, if the
            images do not fit the model.

    Example:

    >>> pictures = keras_capi.callbacks.FeatureImages(images[:8], "pictures")
    >>> model.fit(images, epochs=20, callbacks=[pictures])

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), figure 1
    """

    tag = "features"

    def __init__(self, images, folder, pictures=None, log_dir=None, every=1):
        super().__init__(images, folder, pictures, log_dir, every)
        # Now, not after the first epoch.
        import_optional("sklearn.decomposition", extra="demo")
        self.colors = None

    def set_model(self, model):
        super().set_model(model)
        *sizes, width = feature_map_shape(model, self.images)
        if width < 3:
            raise ValueError(
                "`FeatureImages` draws three principal components. Received: "
                f"a model whose features have a width of {width}"
            )
        if None not in sizes and math.prod(sizes) < 3:
            raise ValueError(
                "`FeatureImages` draws three principal components, which three "
                f"patches have. Received: {math.prod(sizes)} in `images`"
            )

    def draw(self):
        features = patch_features(self.model, self.images)
        self.colors = principal_components(features, like=self.colors)
        return picture_grid(
            {"": self.pictures, "principal components": self.colors}
        )
