"""Trains the methods of the battery on one or several devices.

Usage: `python devices_worker.py ENGINE results`, see `run_worker`.
"""

import sys

import numpy as np
from distribution.worker import BATCH_SIZE
from distribution.worker import start_engine
from distribution.worker import take_share
from methods.cases import CASES


def train(case, share=(0, 1)):
    """Returns what is logged in two epochs of two steps.

    Not the weights: where a gradient is zero in theory, as of biases of keys,
    the optimizer turns its rounding errors into steps of the usual length.
    """
    model = case.compiled()
    history = model.fit(
        take_share(case.own_inputs(2 * BATCH_SIZE), *share),
        batch_size=BATCH_SIZE // share[1],
        epochs=2,
        shuffle=False,
        verbose=0,
    ).history
    return {name: np.array(values) for name, values in history.items()}


def leave_graphs_as_they_are():
    """To improve a graph takes TensorFlow longer than its four runs."""
    import tensorflow as tf

    options = {"disable_meta_optimizer": True}
    tf.config.optimizer.set_experimental_options(options)


def main(engine, path):
    scope, share = start_engine(engine)
    if engine == "mirrored":
        leave_graphs_as_they_are()
    results = {}
    with scope:
        for method, case in CASES.items():
            for name, values in train(case, share).items():
                results[f"{method}/{name}"] = values
    np.savez(f"{path}-{share[0]}.npz", **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
