import warnings

import numpy as np

from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_seed
from keras_capi.visualization.feature_pictures import check_feature_maps


def dictionary_maps(feature_maps, num_atoms=8, seed=0):
    """Decomposes patch features into sums of a few dictionary atoms.

    Dictionary learning finds directions such that each patch is a sum of a few
    of them. Atoms need not be orthogonal, unlike principal components, and one
    atom often stands for one kind of thing.

    Args:
        feature_maps: List of float arrays of shape `(rows, columns, width)`,
            one for each image. Sizes may differ, `width` must not.
        num_atoms: Integer. Number of directions. Defaults to `8`.
        seed: Integer. Seed of the solver. Defaults to `0`.

    Returns:
        List of float32 arrays of shape `(rows, columns, num_atoms)`: how much
        of each atom a patch contains, never negative. The most used atom comes
        first.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If the feature maps do not have these shapes.

    Example:

    >>> feature_maps = model.predict(images)["feature_map"]
    >>> maps = keras_capi.visualization.dictionary_maps(feature_maps)
    >>> maps[0].shape  # (rows, columns, 8)

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix (feature maps)
    """
    decomposition = import_optional("sklearn.decomposition", extra="demo")
    check_positive_integer("num_atoms", num_atoms)
    check_seed("seed", seed, or_none=False)
    feature_maps = check_feature_maps(feature_maps)
    patches = np.concatenate([x.reshape(-1, x.shape[-1]) for x in feature_maps])
    patches = patches - patches.mean(axis=0)
    patches /= max(np.sqrt(np.mean(patches**2)), 1e-12)
    learning = decomposition.MiniBatchDictionaryLearning(
        num_atoms,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        positive_code=True,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # A picture needs no more precision.
        exceptions = import_optional("sklearn.exceptions", extra="demo")
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        codes = learning.fit(patches).transform(patches)
    codes = codes[:, np.argsort(-codes.sum(axis=0))].astype("float32")
    ends = np.cumsum([x.shape[0] * x.shape[1] for x in feature_maps])
    return [
        part.reshape(*x.shape[:2], num_atoms)
        for part, x in zip(
            np.split(codes, ends[:-1]), feature_maps, strict=True
        )
    ]
