import numpy as np

from keras_capi.evaluation.any_match_accuracy import any_match_accuracy
from keras_capi.evaluation.one_class import refuse_one_class
from keras_capi.evaluation.probes.held_out import check_leaves_a_batch
from keras_capi.evaluation.probes.held_out import split_held_out
from keras_capi.evaluation.probes.probe_inputs import check_labels
from keras_capi.evaluation.probes.probe_inputs import check_same_features
from keras_capi.evaluation.probes.probe_inputs import prepare_probe_features
from keras_capi.evaluation.probes.train_probes import train_probes
from keras_capi.validation import check_each
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer
from keras_capi.validation import check_ratio
from keras_capi.validation import check_seed


def probe_classification(
    train_features,
    train_labels,
    test_features,
    test_labels,
    learning_rates=(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2),
    weight_decays=(5e-4, 1e-3, 5e-2),
    num_steps=12500,
    batch_size=128,
    validation_share=0.1,
    seed=0,
    verbose="auto",
):
    """Measures how well linear and attentive probes classify features.

    This is the paper's evaluation of image features. Features with one vector
    for each image get linear probes; tokens get attentive ones, which pool them
    with `keras_capi.layers.AttentionPooling` before the linear classifier. All
    pairs of learning rate and weight decay, of all features, are trained at
    once. The pair that is best on held-out training samples is tested.

    The probes are trained as published (AdamW, warm-up and cosine), with one
    difference. The authors pass new random crops through the frozen backbone in
    every batch; here features are computed beforehand, so that the probes see
    one view of each image. Use the numbers to compare your own models.

    Args:
        train_features: Dictionary from names to float arrays of shape
            `(samples, width)` for linear probes, or `(samples, tokens, width)`
            or `(samples, rows, columns, width)` for attentive ones, such as
            those of `keras_capi.features.extract_features`. If there are
            vectors `"global"` and `"average"`, their concatenation,
            `"global+average"`, is probed, too. Features are not standardised,
            and may be memory-mapped.
        train_labels: Integer array of shape `(samples,)`: the classes, from 0,
            at least two. The largest one defines the number of classes.
        test_features: Dictionary like `train_features`.
        test_labels: Integer array of shape `(samples,)`, or `(samples, labels)`
            padded with -1, of which each is a right answer. Samples without a
            label are left out.
        learning_rates: Sequence of positive floats, for batches of 256: they
            are multiplied by `batch_size / 256`. Defaults to the ten published
            ones, from `1e-5` to `1e-2`.
        weight_decays: Sequence of floats of at least 0. Defaults to
            `(5e-4, 1e-3, 5e-2)`.
        num_steps: Integer. Number of training steps. The first tenth is the
            warm-up. Defaults to `12500`.
        batch_size: Integer. Samples of a batch. Defaults to `128`.
        validation_share: Float in (0, 1). Share of the training samples that
            are held out for the choice. Defaults to `0.1`.
        seed: Integer of at least 0. Seed of the split, the initial weights and
            the order of the samples. Defaults to `0`.
        verbose: `"auto"`, 0, 1 or 2, as in `fit`. The loss that it shows is the
            sum over all probes. Defaults to `"auto"`.

    Returns:
        Dictionary from names of features to dictionaries. `"accuracy"` is that
        on the test set, of the probe that is best on the held-out samples (ties
        go to the first); `"validation_accuracy"`, `"learning_rate"` and
        `"weight_decay"` are those of this probe; `"validation_grid"` has the
        validation accuracies of all probes, an array of shape
        `(len(learning_rates), len(weight_decays))`.

    Raises:
        ValueError: If shapes, numbers of samples or labels do not fit, a
            feature is not finite, an argument is out of range, or fewer than
            `batch_size` samples are left to train on.

    Example:

    >>> train, test = np.random.normal(size=(2, 300, 16))
    >>> results = keras_capi.evaluation.probe_classification(
    ...     {"global": train}, (train[:, 0] > 0).astype(int),
    ...     {"global": test}, (test[:, 0] > 0).astype(int), num_steps=500,
    ... )
    >>> results["global"]["accuracy"]

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    check_positive_integer("num_steps", num_steps)
    check_positive_integer("batch_size", batch_size)
    check_seed("seed", seed, or_none=False)
    check_ratio("validation_share", validation_share)
    learning_rates = check_each("learning_rates", learning_rates, check_ratio)
    weight_decays = check_each(
        "weight_decays", weight_decays, check_number, "[0, 1)"
    )
    train_features = prepare_probe_features("train_features", train_features)
    test_features = prepare_probe_features("test_features", test_features)
    check_same_features(train_features, test_features)
    train_labels = check_labels(
        "train_labels",
        train_labels,
        len(next(iter(train_features.values()))),
        ranks=(1,),
        smallest=0,
    )
    refuse_one_class("train_labels", train_labels)
    num_classes = int(train_labels.max()) + 1
    test_labels = check_labels(
        "test_labels",
        test_labels,
        len(next(iter(test_features.values()))),
        ranks=(1, 2),
        smallest=-1,
        num_classes=num_classes,
    )
    kept, held_out = split_held_out(len(train_labels), validation_share, seed)
    check_leaves_a_batch(
        "batch_size", batch_size, len(train_labels), validation_share
    )
    model = train_probes(
        train_features,
        train_labels,
        kept,
        num_classes,
        learning_rates,
        weight_decays,
        num_steps,
        batch_size,
        seed,
        verbose,
    )
    validation_classes = model.predict_classes(
        train_features, held_out, batch_size
    )
    test_classes = model.predict_classes(
        test_features, np.arange(len(test_labels)), batch_size
    )
    results = {}
    for source, classes in validation_classes.items():
        grid = any_match_accuracy(classes, train_labels[held_out])
        best = int(np.argmax(grid))
        rate_index, decay_index = divmod(best, len(weight_decays))
        results[source] = {
            "accuracy": any_match_accuracy(
                test_classes[source][best], test_labels
            ),
            "validation_accuracy": float(grid[best]),
            "learning_rate": learning_rates[rate_index],
            "weight_decay": weight_decays[decay_index],
            "validation_grid": grid.reshape(
                len(learning_rates), len(weight_decays)
            ),
        }
    return results
