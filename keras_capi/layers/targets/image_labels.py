import keras
from keras import ops

from keras_capi.layers.add_state import add_state
from keras_capi.layers.targets.embedding_memory import NOTHING
from keras_capi.validation import check_positive_integer

# Stands for no epoch.
NO_EPOCH = -1


@keras.saving.register_keras_serializable(package="keras_capi")
class ImageLabels(keras.layers.Layer):
    """Looks up the label of each image by its number.

    For methods that relabel a data set before each epoch. The labels, and the
    epoch that they are for, are saved with the model, so that an interrupted
    training continues with them.

    Args:
        num_images: Integer. Number of images of the data set.

    Call arguments:
        indices: Integer tensor of any shape: the numbers of images.

    Output shape:
        That of `indices`, int32; -100 for an image without a label.

    Example:

    >>> labels = keras_capi.layers.ImageLabels(3)
    >>> labels.label(np.array([0, 1, 0]), epoch=0)
    >>> labels(np.array([2, 1]))  # [0, 1]

    Reference:

    - [DeepCluster](https://arxiv.org/abs/1807.05520), section 3.2
    """

    def __init__(self, num_images, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer("num_images", num_images)
        self.num_images = num_images
        self.labels, self.epoch = (
            add_state(
                self, name, shape, "int32", keras.initializers.Constant(value)
            )
            for name, shape, value in (
                ("labels", (num_images,), NOTHING),
                ("epoch", (), NO_EPOCH),
            )
        )
        self.built = True

    def call(self, indices):
        return ops.take(self.labels, ops.cast(indices, "int32"))

    def label(self, labels, epoch):
        """Sets the labels of all images.

        Args:
            labels: Integer array of shape `(num_images,)`.
            epoch: Integer. The epoch that the labels are for.
        """
        self.labels.assign(labels)
        self.epoch.assign(epoch)

    def are_for(self, epoch):
        """Returns whether the labels are for this epoch, to resume it."""
        return int(ops.convert_to_numpy(self.epoch)) == epoch

    def end_epoch(self):
        """Keeps the labels, but no longer for an epoch to resume."""
        self.epoch.assign(NO_EPOCH)

    def compute_output_spec(self, indices):
        return keras.KerasTensor(indices.shape, "int32")

    def get_config(self):
        return {**super().get_config(), "num_images": self.num_images}
