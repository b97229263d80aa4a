"""RotNet's training step, from a checkout of gidariss/FeatureLearningRotNet.

The step is that of `algorithms/ClassificationModel.py`, which runs as it is;
its base class is Python 2 and left out. Their network is an AlexNet; here a
vision transformer of `timm` is in its place, whose patches are averaged. It is
compiled, which the authors do not do. Their optimizer is gradient descent with
momentum, ours AdamW.
"""

import argparse
import importlib.util
import pathlib

from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.authors.tensors import check_loss
from benchmarks.authors.trunk import make_trunk
from benchmarks.steps.rotation import NUM_TURNS
from benchmarks.steps.rotation import make_turns

NOT_NEEDED = ("algorithms", "torchnet", "tqdm", "utils")
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4


def load_step(checkout):
    """Returns the function of an object and a batch."""
    path = pathlib.Path(checkout) / "algorithms" / "ClassificationModel.py"
    name = "algorithms.ClassificationModel"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    with stubs(NOT_NEEDED, checkout):
        import algorithms  # noqa: F401

        spec.loader.exec_module(module)
    accuracy = module.accuracy
    # In their day a sum had an axis.
    module.accuracy = lambda *args, **kwargs: [
        share[None] for share in accuracy(*args, **kwargs)
    ]
    return module.ClassificationModel.process_batch


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch
    from torch.nn import functional

    process_batch = load_step(options.authors)
    torch.manual_seed(0)
    network = make_trunk(
        options, num_classes=NUM_TURNS, global_pool="avg", fc_norm=False
    ).train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        LEARNING_RATE,
        MOMENTUM,
        weight_decay=WEIGHT_DECAY,
        nesterov=True,
    )
    if options.compile != "off":
        network = torch.compile(network, dynamic=False)
    state = argparse.Namespace(
        tensors={"dataX": torch.FloatTensor(), "labels": torch.LongTensor()},
        optimizers={"model": optimizer},
        networks={"model": network},
        # And so had a loss.
        criterions={
            "loss": lambda scores, labels: functional.cross_entropy(
                scores, labels
            )[None]
        },
    )
    images, labels = make_turns(options)
    batch = [
        channels_first(images.reshape(-1, *images.shape[2:])),
        torch.from_numpy(labels).long().flatten(),
    ]

    def step():
        record = process_batch(state, batch)
        return check_loss(record["loss"].item()), record["prec1"].item()

    return step
