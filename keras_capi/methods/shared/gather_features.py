"""Features of a whole data set, computed by all processes."""

import numpy as np

from keras_capi import backend


def gather_features(batches, compute_features, width):
    """Gathers the features of all processes in the first one.

    Only in the first, and batch by batch: those of ImageNet fill the memory of
    a machine.

    Args:
        batches: Iterable of dictionaries with `"indices"`, the same number in
            each process. Some may be without images.
        compute_features: Function from such a dictionary to a float array of
            shape `(batch, width)`.
        width: Integer.

    Returns:
        Tuple of the numbers of the images, of shape `(images,)`, and features
        of shape `(images, width)`, sorted by the numbers: they do not depend on
        the number of processes. All but the first process get empty arrays.
    """
    parts = [(np.zeros((0,), "int32"), np.zeros((0, width), "float32"))]
    for batch in batches:
        indices = batch["indices"]
        if len(indices) or backend.predict_together():
            features = compute_features(batch)
        else:
            features = parts[0][1]
        part = [backend.gather_parts(x) for x in (indices, features)]
        if backend.process_index() == 0:
            parts.append(part)
    indices, features = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(indices, kind="stable")
    return indices[order], features[order]
