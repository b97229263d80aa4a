import numpy as np

from keras_capi.ops.finite import check_finite


def finite_features(features):
    """Returns features as a float32 array, or raises a `ValueError`.

    With NaN in the features all neighbours would be equally near, and scores
    meaningless.

    Args:
        features: Float array of any shape.
    """
    features = np.asarray(features, "float32")
    check_finite("features", features)
    return features
