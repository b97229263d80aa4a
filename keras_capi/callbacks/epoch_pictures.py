import io

import keras
import numpy as np

from keras_capi.callbacks.images import check_callback_images
from keras_capi.optional_imports import import_optional
from keras_capi.paths import as_path
from keras_capi.paths import check_output
from keras_capi.validation import check_positive_integer
from keras_capi.visualization.check_pictures import check_pictures
from keras_capi.visualization.picture_grid import scale_to_unit

WRITERS = "tensorboard.summary.writer.event_file_writer"


class EpochPictures(keras.callbacks.Callback):
    """Writes a picture after each epoch, which subclasses make in `draw`.

    Args:
        images: Float array of shape `(samples, height, width, channels)`.
        folder: String or path. Folder for `epoch_0001.png` and so on.
        pictures: The images as they should be drawn, or `None` to scale them.
        log_dir: String, path or `None`. Folder for TensorBoard.
        every: Integer. Number of epochs between two pictures.
    """

    tag = "pictures"

    def __init__(self, images, folder, pictures, log_dir, every):
        super().__init__()
        check_positive_integer("every", every)
        check_callback_images(images)
        # Now, not after the first epoch.
        import_optional("matplotlib.figure", extra="demo")
        if pictures is None:
            pictures = scale_to_unit(images)
        if len(pictures) != len(images):
            raise ValueError(
                "`pictures` must be one for each of `images`. "
                f"Received: {len(pictures)} and {len(images)}"
            )
        if np.ndim(pictures) != 4:
            raise ValueError(
                "`pictures` must have shape (samples, height, width, 3). "
                f"Received: pictures.shape={np.shape(pictures)}"
            )
        self.images = images
        self.pictures = check_pictures(pictures)
        self.folder = as_path(folder, "folder")
        check_output("folder", self.folder, is_folder=True)
        self.every = every
        self.log_dir = self.writer = None
        if log_dir is not None:
            import_optional(WRITERS, extra="tensorboard")
            self.log_dir = as_path(log_dir, "log_dir")
            check_output("log_dir", self.log_dir, is_folder=True)

    def draw(self):
        """Returns the `matplotlib.figure.Figure` of an epoch."""
        raise NotImplementedError

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        figure = self.draw()
        self.folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.folder / f"epoch_{epoch + 1:04}.png")
        if self.log_dir is not None:
            self._write(figure, epoch + 1)

    def on_train_end(self, logs=None):
        # It has a thread and an open file. Another training opens another.
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _write(self, figure, step):
        event_pb2, summary_pb2 = (
            import_optional(f"tensorboard.compat.proto.{name}", "tensorboard")
            for name in ("event_pb2", "summary_pb2")
        )
        if self.writer is None:
            writers = import_optional(WRITERS, extra="tensorboard")
            self.writer = writers.EventFileWriter(str(self.log_dir))
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        width, height = map(round, figure.get_size_inches() * figure.dpi)
        image = summary_pb2.Summary.Image(
            encoded_image_string=picture.getvalue(), width=width, height=height
        )
        value = summary_pb2.Summary.Value(tag=self.tag, image=image)
        summary = summary_pb2.Summary(value=[value])
        self.writer.add_event(event_pb2.Event(step=step, summary=summary))
        self.writer.flush()
