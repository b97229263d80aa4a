from keras_capi.validation import is_array


def check_labelled(model, images, labels, takes_classes, class_weight=None):
    """Raises a `ValueError` unless arrays of images and labels belong together.

    Args:
        model: `keras_capi.tasks.ImageClassifier` or `ImageSegmenter`.
        images: The `x` given to `fit` and similar methods.
        labels: The `y`.
        takes_classes: Boolean. Whether the loss takes a class for each
            prediction, and so the shape of labels is known.
        class_weight: The same. Defaults to `None`.
    """
    if isinstance(images, dict):
        raise ValueError(
            "Images must be one array of shape (count, height, width, "
            "channels), as `x`, with the labels as `y`. Received: a dictionary "
            f"of {sorted(images)}"
        )
    if not is_array(images):
        return
    check_has_labels(labels)
    if not takes_classes or not is_array(labels):
        return
    shape = tuple(labels.shape)
    expected = tuple(model.compute_output_spec(images).shape[:-1])
    if shape[1:] not in (expected[1:], (*expected[1:], 1)):
        raise ValueError(
            f"Labels must have shape {expected}, a class for each prediction; "
            "if there is one number for each class instead, as with one-hot "
            "labels, use `keras.losses.CategoricalCrossentropy`. Received: "
            f"labels of shape {shape} for images of shape "
            f"{tuple(images.shape)}"
        )
    if class_weight is not None and len(expected) > 1:
        raise ValueError(
            "`class_weight` must be None where each pixel has a class: give "
            "`sample_weight`, an array of the shape of the labels. "
            f"Received: class_weight={class_weight}"
        )


def check_has_labels(labels):
    """Raises a `ValueError` if there are none.

    Args:
        labels: Those of an image or batch, or `None`.
    """
    if labels is None:
        raise ValueError(
            "Images must have labels: give arrays as `fit(images, labels)` and "
            "`validation_data=(images, labels)`, and data sets of such pairs. "
            "Without labels, train a method of `keras_capi.methods`. Received: "
            "images alone"
        )
