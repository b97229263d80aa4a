import itertools

from keras_capi.evaluation.probes.probe_grid import ProbeGrid
from keras_capi.evaluation.probes.probe_schedule import ProbeSchedule
from keras_capi.evaluation.probes.shuffled_batches import ShuffledBatches
from keras_capi.optimizers import AdamW
from keras_capi.optimizers import Group

# The authors divide the loss by the number of their probes, 120 of four
# features. AdamW cancels it but for its epsilon of 1e-8, which slows down
# queries and keys, whose gradients are small at first.
EPSILON = 120 * 1e-8


def train_probes(
    features,
    labels,
    indices,
    num_classes,
    learning_rates,
    weight_decays,
    num_steps,
    batch_size,
    seed,
    verbose,
):
    """Trains a grid of probes for each feature, as published.

    See `keras_capi.evaluation.probe_classification` for the arguments.

    Args:
        features: Dictionary of arrays, `(samples, width)` or
            `(samples, tokens, width)`.
        labels: Integer array of shape `(samples,)`.
        indices: Integer array. Which samples to train on.
        num_classes: Integer.
        learning_rates: Sequence of floats, for batches of 256.
        weight_decays: Sequence of floats.
        num_steps: Integer.
        batch_size: Integer.
        seed: Integer. Seed of the initial weights and the order of the samples.
        verbose: `"auto"`, 0, 1 or 2, as in `fit`.

    Returns:
        A `ProbeGrid`, whose probe `i * len(weight_decays) + j` has learning
        rate `i` and weight decay `j`.

    Example:

    >>> grid = train_probes(
    ...     {"global": features}, labels, np.arange(len(labels)), 10,
    ...     learning_rates=(1e-3, 1e-2), weight_decays=(5e-4,), num_steps=500,
    ...     batch_size=128, seed=0, verbose=0,
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), section 4 (evaluation)
    """
    pairs = list(itertools.product(learning_rates, weight_decays))
    model = ProbeGrid(
        {name: values.shape[1:] for name, values in features.items()},
        num_classes,
        len(pairs),
        seed,
    )
    optimizer = AdamW(
        ProbeSchedule(num_steps),
        weight_decay=1.0,
        beta_2=0.95,
        epsilon=EPSILON,
        groups={
            "probes": Group(
                learning_rate_multiplier=[
                    rate * batch_size / 256 for rate, _ in pairs
                ],
                weight_decay_multiplier=[decay for _, decay in pairs],
            ),
            "biases": Group(weight_decay_multiplier=0.0),
        },
    )
    variables = model.trainable_variables
    optimizer.assign_groups(
        {
            "probes": variables,
            "biases": [x for x in variables if x.name.endswith("bias")],
        }
    )
    model.compile(optimizer)
    model.fit(
        ShuffledBatches(features, labels, indices, batch_size, num_steps, seed),
        shuffle=False,
        verbose=verbose,
    )
    return model
