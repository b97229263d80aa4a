"""Segments images from frozen patch features, and scores the result."""

import warnings

import numpy as np

from keras_capi.evaluation.knn_classification import neighbor_candidates
from keras_capi.evaluation.knn_classification import neighbor_votes
from keras_capi.evaluation.knn_classification import within_reach
from keras_capi.evaluation.majority_vote import majority_vote
from keras_capi.evaluation.nearest_neighbors import METRICS
from keras_capi.evaluation.negative_labels import refuse_negative_labels
from keras_capi.evaluation.patch_pixels import patch_pixels
from keras_capi.evaluation.probes.held_out import best_of
from keras_capi.evaluation.probes.held_out import split_held_out
from keras_capi.evaluation.probes.standardize import standardize
from keras_capi.evaluation.segmentation_scores import segmentation_scores
from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_each
from keras_capi.validation import check_integers
from keras_capi.validation import check_positive
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_ratio
from keras_capi.validation import check_seed

STRENGTHS = tuple(10.0 ** np.linspace(-6, 5, 8))
# As published. The default would stop early where regularisation is weak.
TOLERANCE = 1e-12


def knn_segmentation(
    train_features,
    train_masks,
    test_features,
    test_masks,
    ignore_labels=(255,),
    num_neighbors=(1, 3, 10, 30),
    metrics=METRICS,
    validation_share=0.1,
    seed=0,
):
    """Segments images by the nearest neighbours of their patch features.

    Measures how good the patch features are as they are: nothing is trained.
    Features are standardised on the training set. The nearest patches vote,
    pixel by pixel, with their own masks. Patches whose most frequent label is
    one of `ignore_labels` have no vote.

    Args:
        train_features: Float array of shape `(images, rows, columns, width)`.
        train_masks: Integer array of shape `(images, height, width)`: the class
            of each pixel. Rows and columns must divide height and width.
        test_features: Float array of shape `(tests, rows, columns, width)`.
        test_masks: Integer array of shape `(tests, height, width)`.
        ignore_labels: Tuple of integers: classes that are ignored, such as `(0,
            255)` for ADE20K. Defaults to `(255,)`.
        num_neighbors: Tuple of integers to choose from. Those that exceed the
            number of patches are left out. Defaults to `(1, 3, 10, 30)`.
        metrics: Tuple of `"cosine"` and `"l2"` to choose from. Defaults to
            both.
        validation_share: Float in (0, 1). Share of the training images that the
            choice is made on. Not used if there is nothing to choose. Defaults
            to `0.1`.
        seed: Integer. Seed of the split. Defaults to `0`.

    Returns:
        Dictionary: `"mean_iou"` and `"pixel_accuracy"` on the test set, the
        chosen `"num_neighbors"` and `"metric"`, and `"validation"`, a
        dictionary from `(num_neighbors, metric)` to mean IoU.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If shapes or arguments do not fit.

    Example:

    >>> train = model.predict(train_images)["feature_map"]
    >>> test = model.predict(test_images)["feature_map"]
    >>> scores = keras_capi.evaluation.knn_segmentation(
    ...     train, train_masks, test, test_masks
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """

    candidates = neighbor_candidates(num_neighbors, metrics)

    def predict(train, pixels, queries, candidates):
        candidates = within_reach(candidates, len(train))
        return neighbor_votes(train, pixels, queries, candidates)

    best, scores, validation = _choose_and_test(
        _Patches("train", train_features, train_masks, ignore_labels),
        _Patches("test", test_features, test_masks, ignore_labels),
        predict,
        candidates,
        validation_share,
        seed,
    )
    return {
        **scores,
        "num_neighbors": best[0],
        "metric": best[1],
        "validation": validation,
    }


def logistic_segmentation(
    train_features,
    train_masks,
    test_features,
    test_masks,
    ignore_labels=(255,),
    strengths=STRENGTHS,
    max_iterations=1000,
    validation_share=0.1,
    seed=0,
):
    """Segments images by a logistic regression on their patch features.

    Features are standardised on the training set. The label of a patch is the
    most frequent one of its pixels; the predicted label is given to all pixels
    of a patch. The regression is scikit-learn's, on the CPU.

    Args:
        train_features: Float array of shape `(images, rows, columns, width)`.
        train_masks: Integer array of shape `(images, height, width)`: the class
            of each pixel. Rows and columns must divide height and width.
        test_features: Float array of shape `(tests, rows, columns, width)`.
        test_masks: Integer array of shape `(tests, height, width)`.
        ignore_labels: Tuple of integers: classes that are ignored, such as `(0,
            255)` for ADE20K. Defaults to `(255,)`.
        strengths: Tuple of floats to choose from: values of `C`, the inverse
            strength of the regularisation. Defaults to eight from 1e-6 to 1e5.
        max_iterations: Integer. Largest number of iterations of the solver.
            Where regularisation is weak it often stops there, as published,
            without a warning. Defaults to `1000`.
        validation_share: Float in (0, 1). Share of the training images that the
            choice is made on. Not used if there is nothing to choose. Defaults
            to `0.1`.
        seed: Integer. Seed of the split. Defaults to `0`.

    Returns:
        Dictionary: `"mean_iou"` and `"pixel_accuracy"` on the test set, the
        chosen `"strength"`, and `"validation"`, a dictionary from strength to
        mean IoU.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If shapes or arguments do not fit.

    Example:

    >>> train = model.predict(train_images)["feature_map"]
    >>> test = model.predict(test_images)["feature_map"]
    >>> scores = keras_capi.evaluation.logistic_segmentation(
    ...     train, train_masks, test, test_masks
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    linear_model = import_optional("sklearn.linear_model", extra="evaluation")
    exceptions = import_optional("sklearn.exceptions", extra="evaluation")
    strengths = check_each("strengths", strengths, check_positive)
    check_positive_integer("max_iterations", max_iterations)

    def predict(train, pixels, queries, candidates):
        labels = majority_vote(pixels)
        if (labels == labels[0]).all():
            raise ValueError(
                "Training images must have patches of at least 2 classes, also "
                "without those that are held out. Received: only class "
                f"{labels[0]} in {len(labels)} patches"
            )
        for strength in candidates:
            regression = linear_model.LogisticRegression(
                C=strength, max_iter=max_iterations, tol=TOLERANCE
            )
            with warnings.catch_warnings():
                # Of each weak regularisation, with advice on other arguments.
                warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
                regression.fit(train, labels)
            predicted = regression.predict(queries)
            yield strength, np.repeat(predicted[:, None], pixels.shape[1], 1)

    best, scores, validation = _choose_and_test(
        _Patches("train", train_features, train_masks, ignore_labels),
        _Patches("test", test_features, test_masks, ignore_labels),
        predict,
        strengths,
        validation_share,
        seed,
    )
    return {**scores, "strength": best, "validation": validation}


class _Patches:
    """Images as patches: `features` of each, and the `pixels` of its mask."""

    def __init__(self, name, features, masks, ignore_labels):
        features = np.asarray(features)
        masks = np.asarray(masks)
        if features.ndim != 4 or len(features) != len(masks):
            raise ValueError(
                f"`{name}_features` must have shape (images, rows, columns, "
                f"width), with a mask for each image. Received: shape "
                f"{features.shape} with masks of shape {masks.shape}"
            )
        self.count = len(features)
        self.features = features.reshape(self.count, -1, features.shape[-1])
        pixels = patch_pixels(masks, features.shape[1:3])
        self.pixels = pixels.reshape(self.count, -1, pixels.shape[-1])
        self.ignore_labels = check_integers("ignore_labels", ignore_labels)
        refuse_negative_labels(f"{name}_masks", masks, self.ignore_labels)

    def of(self, images=slice(None)):
        """Returns the features and pixels of all patches of some images."""
        return (
            self.features[images].reshape(-1, self.features.shape[-1]),
            self.pixels[images].reshape(-1, self.pixels.shape[-1]),
        )

    def are_labelled(self, pixels):
        """Returns whether the most frequent label of patches is not ignored."""
        labelled = ~np.isin(majority_vote(pixels), self.ignore_labels)
        if not labelled.any():
            raise ValueError(
                "Training images must have patches with labels that are not "
                f"ignored. Received: ignore_labels={self.ignore_labels}"
            )
        return labelled


def _choose_and_test(train, test, predict, candidates, share, seed):
    check_ratio("validation_share", share)
    check_seed("seed", seed, or_none=False)

    def scores(known, unknown, candidates):
        # On all patches, as published, also those without a vote.
        features, queries = standardize(known[0], unknown[0])
        labelled = train.are_labelled(known[1])
        return {
            candidate: segmentation_scores(
                unknown[1], predicted, train.ignore_labels
            )
            for candidate, predicted in predict(
                features[labelled], known[1][labelled], queries, candidates
            )
        }

    validation, best = {}, candidates[0]
    if len(candidates) > 1:
        kept, held = map(np.sort, split_held_out(train.count, share, seed))
        results = scores(train.of(kept), train.of(held), candidates)
        validation = {key: x["mean_iou"] for key, x in results.items()}
        best = best_of(validation)
    return best, scores(train.of(), test.of(), [best])[best], validation
