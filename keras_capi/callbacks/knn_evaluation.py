import keras
import numpy as np

from keras_capi.evaluation.knn_classification import knn_classification
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.evaluation.segmentation import knn_segmentation
from keras_capi.validation import check_positive_integer

NETWORKS = ("teacher", "student")


class KNNEvaluation(keras.callbacks.Callback):
    """Tells during training how good the features are for a task with labels.

    After an epoch, classifies images by the nearest neighbours of their mean
    patch features, or segments them by those of their patches, and adds
    `"knn_accuracy"`, or `"knn_mean_iou"` and `"knn_pixel_accuracy"`, to the
    logs. The labels are for this score only; the model does not see them.

    Args:
        train_images: Float array of shape `(samples, height, width, channels)`,
            as the model takes them.
        train_labels: Integer array of shape `(samples,)` to classify images, or
            `(samples, height, width)` to segment them.
        test_images: Float array of shape `(tests, height, width, channels)`.
        test_labels: Integer array, likewise.
        num_neighbors: Integer. Defaults to `10`.
        metric: `"cosine"` or `"l2"`. Defaults to `"cosine"`.
        ignore_labels: Tuple of integers: classes that do not count in
            segmentation. Defaults to `(255,)`.
        network: `"teacher"` or `"student"` of a CAPI model, or `None` for
            another model, which is asked itself. Defaults to `"teacher"`.
        every: Integer. Number of epochs between two scores. Defaults to `1`.
        batch_size: Integer. Defaults to `64`.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If an argument is out of range.

    Example:

    >>> evaluation = keras_capi.callbacks.KNNEvaluation(
    ...     few_images, few_labels, test_images, test_labels
    ... )
    >>> model.fit(images, epochs=20, callbacks=[evaluation])

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    def __init__(
        self,
        train_images,
        train_labels,
        test_images,
        test_labels,
        num_neighbors=10,
        metric="cosine",
        ignore_labels=(255,),
        network="teacher",
        every=1,
        batch_size=64,
    ):
        super().__init__()
        check_positive_integer("num_neighbors", num_neighbors)
        check_positive_integer("every", every)
        if network not in (*NETWORKS, None):
            raise ValueError(
                f"`network` must be one of {NETWORKS} or None. "
                f"Received: network={network!r}"
            )
        self.train = train_images, np.asarray(train_labels)
        self.test = test_images, np.asarray(test_labels)
        dimensions = {labels.ndim for _, labels in (self.train, self.test)}
        if dimensions not in ({1}, {3}):
            raise ValueError(
                "Labels must have shape (samples,), or (samples, height, "
                "width) to segment. Received: shapes "
                f"{self.train[1].shape} and {self.test[1].shape}"
            )
        self.num_neighbors = num_neighbors
        self.metric = metric
        self.ignore_labels = ignore_labels
        self.network = network
        self.every = every
        self.batch_size = batch_size

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            logs.update(self.evaluate())

    def evaluate(self):
        """Returns the scores of the model as it is, a dictionary of floats."""
        model = self.model
        if self.network is not None:
            model = getattr(model, self.network)
        data = []
        for images, labels in (self.train, self.test):
            features = patch_features(model, images, self.batch_size)
            if labels.ndim == 1:
                features = features.mean(axis=(1, 2))
            data += [features, labels]
        choice = {
            "num_neighbors": (self.num_neighbors,),
            "metrics": (self.metric,),
        }
        if data[1].ndim == 1:
            return {
                "knn_accuracy": knn_classification(*data, **choice)["accuracy"]
            }
        scores = knn_segmentation(*data, self.ignore_labels, **choice)
        return {
            f"knn_{name}": scores[name]
            for name in ("mean_iou", "pixel_accuracy")
        }
