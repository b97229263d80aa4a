from keras_capi.evaluation.finite_features import finite_features
from keras_capi.optional_imports import import_optional


def standardize(train_features, *others):
    """Scales features to mean 0 and variance 1 on the training set.

    Args:
        train_features: Float array of shape `(samples, width)`.
        *others: Arrays of the same width, to which the same transformation is
            applied.

    Returns:
        List of float32 arrays, the training features first.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If a feature is not finite.

    Example:

    >>> train, test = keras_capi.evaluation.standardize(
    ...     np.random.rand(100, 8), np.random.rand(10, 8)
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    preprocessing = import_optional("sklearn.preprocessing", extra="evaluation")
    arrays = [finite_features(x) for x in (train_features, *others)]
    scaler = preprocessing.StandardScaler().fit(arrays[0])
    return [scaler.transform(x) for x in arrays]
