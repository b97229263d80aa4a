import keras
import numpy as np

from keras_capi.callbacks.images import check_callback_images
from keras_capi.callbacks.images import feature_map_shape
from keras_capi.evaluation.knn_classification import knn_classification
from keras_capi.evaluation.nearest_neighbors import METRICS
from keras_capi.evaluation.negative_labels import refuse_negative_labels
from keras_capi.evaluation.one_class import refuse_one_class
from keras_capi.evaluation.patch_features import patch_features
from keras_capi.evaluation.patch_pixels import patch_pixels
from keras_capi.evaluation.segmentation import knn_segmentation
from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_choice
from keras_capi.validation import check_integers
from keras_capi.validation import check_positive_integer

NETWORKS = ("teacher", "student")


class KNNEvaluation(keras.callbacks.Callback):
    """Scores the features on a labelled task during training.

    After an epoch, images are classified by the nearest neighbours of their
    mean patch features, or segmented by those of their patches.
    `"knn_accuracy"`, or `"knn_mean_iou"` and `"knn_pixel_accuracy"`, are added
    to the logs. The labels are only used for this score; the model does not see
    them.

    Args:
        train_images: Float array of shape `(samples, height, width, channels)`,
            as the model takes them.
        train_labels: Integer array of shape `(samples,)`, with at least 2
            classes, to classify images, or `(samples, height, width)` to
            segment them.
        test_images: Float array of shape `(tests, height, width, channels)`.
        test_labels: Integer array, of a shape like that of `train_labels`.
        num_neighbors: Integer. Number of neighbours, or all if there are fewer.
            Defaults to `10`.
        metric: `"cosine"` or `"l2"`. Defaults to `"cosine"`.
        ignore_labels: Tuple of integers. Classes to leave out in segmentation.
            Defaults to `(255,)`.
        network: `"teacher"` or `"student"` of a model that has them, or `None`
            for the features of the model's `predict`: of the teacher of CAPI
            and DINO, of the encoder of MAE, or of any other model. Defaults to
            `None`.
        every: Integer. Number of epochs between two scores. Defaults to `1`.
        batch_size: Integer. Images per batch. Defaults to `64`.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If an argument is out of range or, when `fit` starts, if the
            images do not fit the model.

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
        network=None,
        every=1,
        batch_size=64,
    ):
        super().__init__()
        check_positive_integer("num_neighbors", num_neighbors)
        check_positive_integer("every", every)
        check_positive_integer("batch_size", batch_size)
        import_optional("sklearn.preprocessing", extra="evaluation")
        check_choice("metric", metric, METRICS)
        check_choice("network", network, NETWORKS, or_none=True)
        self.train = train_images, np.asarray(train_labels)
        self.test = test_images, np.asarray(test_labels)
        dimensions = {labels.ndim for _, labels in (self.train, self.test)}
        if dimensions not in ({1}, {3}):
            raise ValueError(
                "Labels must have shape (samples,), or (samples, height, "
                "width) to segment. Received: shapes "
                f"{self.train[1].shape} and {self.test[1].shape}"
            )
        self.ignore_labels = check_integers("ignore_labels", ignore_labels)
        for name, (images, labels) in (
            ("train", self.train),
            ("test", self.test),
        ):
            check_callback_images(images, f"{name}_images")
            self._check_labels(name, images, labels)
        if dimensions == {1}:
            refuse_one_class("train_labels", self.train[1])
        self.num_neighbors = num_neighbors
        self.metric = metric
        self.network = network
        self.every = every
        self.batch_size = batch_size

    def _check_labels(self, name, images, labels):
        if labels.dtype.kind not in "iu":
            raise ValueError(
                f"`{name}_labels` must be integers. "
                f"Received: {name}_labels.dtype={labels.dtype}"
            )
        shape = tuple(images.shape)
        if labels.shape != shape[: 1 if labels.ndim == 1 else 3]:
            raise ValueError(
                f"`{name}_labels` must have a label for each of "
                f"`{name}_images`, or a mask of its height and width. "
                f"Received: {name}_labels.shape={labels.shape}, "
                f"{name}_images.shape={shape}"
            )
        # Labels of images are never ignored.
        ignored = self.ignore_labels if labels.ndim == 3 else ()
        refuse_negative_labels(f"{name}_labels", labels, ignored)
        if labels.ndim == 3 and np.isin(labels, self.ignore_labels).all():
            raise ValueError(
                f"`{name}_labels` must have labels that are not ignored. "
                f"Received: ignore_labels={self.ignore_labels}"
            )

    def set_model(self, model):
        super().set_model(model)
        for images, labels in (self.train, self.test):
            grid_size = feature_map_shape(self._network, images)[1:3]
            if labels.ndim == 3:
                patch_pixels(labels[:1], grid_size)

    @property
    def _network(self):
        if self.network is None:
            return self.model
        if not hasattr(self.model, self.network):
            raise ValueError(
                "`network` must be a part of the model, or None. "
                f"Received: network={self.network!r} for "
                f"{type(self.model).__name__}"
            )
        return getattr(self.model, self.network)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            logs.update(self.evaluate())

    def evaluate(self):
        """Returns the current scores of the model, a dictionary of floats."""
        data = []
        for images, labels in (self.train, self.test):
            features = patch_features(self._network, images, self.batch_size)
            if labels.ndim == 1:
                features = features.mean(axis=(1, 2))
            data += [features, labels]
        # If there are only a few images or patches, all of them are neighbours.
        most = int(np.prod(data[0].shape[:-1]))
        choice = {
            "num_neighbors": (min(self.num_neighbors, most),),
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
