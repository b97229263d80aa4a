import numpy as np


def finite_features(features):
    """Returns features as a float32 array, or raises a `ValueError`.

    With NaN in the features all neighbours would be equally near, and scores
    meaningless.

    Args:
        features: Float array of any shape.
    """
    features = np.asarray(features, "float32")
    if not np.isfinite(features).all():
        raise ValueError(
            "Features must be finite. Received: features with NaN or infinity"
        )
    return features
