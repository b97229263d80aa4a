import io

import keras
import numpy as np

from keras_capi.callbacks.images import check_callback_images
from keras_capi.callbacks.images import feature_map_shape
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.optional_imports import import_optional
from keras_capi.paths import as_path
from keras_capi.validation import check_output
from keras_capi.validation import check_positive_integer
from keras_capi.visualization.feature_pictures import principal_components
from keras_capi.visualization.picture_grid import picture_grid
from keras_capi.visualization.picture_grid import scale_to_unit


class FeatureImages(keras.callbacks.Callback):
    """Draws the features of some images after each epoch.

    The first three principal components of the teacher's patch features become
    red, green and blue, as in `keras_capi.visualization.feature_pictures`.
    Their signs follow those of the last picture, so that colours change only
    where features do.

    Args:
        images: Float array of shape `(samples, height, width, channels)`, as
            the model takes them: a few images.
        folder: String or path. Gets `epoch_0001.png` and so on.
        pictures: What to draw beside the features: uint8 array, or floats in
            [0, 1], of shape `(samples, height, width, 3)`. `None` scales
            `images` to that range, if these have 1, 3 or 4 channels. Defaults
            to `None`.
        log_dir: String, path or `None`. Folder to write the pictures to for
            TensorBoard, by its own package. Defaults to `None`.
        every: Integer. Number of epochs between two pictures. Defaults to `1`.

    Raises:
        ImportError: If matplotlib, scikit-learn or, with `log_dir`, tensorboard
            is not installed.
        ValueError: If an argument is out of range or, when `fit` starts, if the
            images do not suit the model.

    Example:

    >>> pictures = keras_capi.callbacks.FeatureImages(images[:8], "pictures")
    >>> model.fit(images, epochs=20, callbacks=[pictures])

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), figure 1
    """

    def __init__(self, images, folder, pictures=None, log_dir=None, every=1):
        super().__init__()
        check_positive_integer("every", every)
        check_callback_images(images)
        # Now, and not after the first epoch.
        for module in ("matplotlib.figure", "sklearn.decomposition"):
            import_optional(module, extra="demo")
        if pictures is None:
            pictures = scale_to_unit(images)
        if len(pictures) != len(images):
            raise ValueError(
                "`pictures` must be one for each of `images`. "
                f"Received: {len(pictures)} and {len(images)}"
            )
        if np.ndim(pictures) != 4 or np.shape(pictures)[-1] not in (1, 3, 4):
            raise ValueError(
                "`pictures` must have shape (samples, height, width, 3). With "
                "images of other channels, give pictures to draw beside the "
                f"features. Received: pictures.shape={np.shape(pictures)}"
            )
        self.images = images
        self.pictures = pictures
        self.folder = as_path(folder, "folder")
        check_output("folder", self.folder, is_folder=True)
        self.every = every
        self.colors = None
        self.writer = None
        if log_dir is not None:
            module = "tensorboard.summary.writer.event_file_writer"
            writers = import_optional(module, extra="tensorboard")
            self.writer = writers.EventFileWriter(
                str(as_path(log_dir, "log_dir"))
            )

    def set_model(self, model):
        super().set_model(model)
        width = feature_map_shape(self._network, self.images)[-1]
        if width < 3:
            raise ValueError(
                "`FeatureImages` draws three principal components. Received: "
                f"a model whose features have a width of {width}"
            )

    @property
    def _network(self):
        return getattr(self.model, "teacher", self.model)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        features = patch_features(self._network, self.images)
        self.colors = principal_components(features, like=self.colors)
        figure = picture_grid(
            {"": self.pictures, "principal components": self.colors}
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.folder / f"epoch_{epoch + 1:04}.png")
        if self.writer is not None:
            self._write(figure, epoch + 1)

    def _write(self, figure, step):
        event_pb2, summary_pb2 = (
            import_optional(f"tensorboard.compat.proto.{name}", "tensorboard")
            for name in ("event_pb2", "summary_pb2")
        )
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        width, height = map(round, figure.get_size_inches() * figure.dpi)
        image = summary_pb2.Summary.Image(
            encoded_image_string=picture.getvalue(), width=width, height=height
        )
        value = summary_pb2.Summary.Value(tag="features", image=image)
        summary = summary_pb2.Summary(value=[value])
        self.writer.add_event(event_pb2.Event(step=step, summary=summary))
        self.writer.flush()
