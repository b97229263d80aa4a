"""SwAV's training step, from a checkout of facebookresearch/swav.

The step is their `train`, of an epoch of one batch, in a group of one process
and in full precision. Their network is a ResNet; here a vision transformer of
`timm` is in its place, behind which comes their head. Their LARC is that of the
package `apex`, of which `parallel/LARC.py` of any version that has it serves
(the last was in 2025). The transformer and the head are compiled, which the
authors do not do; the loss is not.
"""

import argparse
import importlib.util
import pathlib

from benchmarks.authors.group import start_group_of_one
from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import check_loss
from benchmarks.authors.tensors import stay_on_the_cpu
from benchmarks.authors.tensors import view_tensors
from benchmarks.authors.trunk import make_trunk
from benchmarks.speed import SIZES
from benchmarks.steps.swav import HEAD_WIDTHS
from benchmarks.steps.swav import NUM_GLOBAL
from benchmarks.steps.swav import NUM_LOCAL
from benchmarks.steps.swav import make_queue
from benchmarks.steps.swav import make_views

NOT_NEEDED = ("apex", "pandas", "scipy", "torchvision")
LARGE_BATCH, LARGE_RATE = 256, 0.6
WEIGHT_DECAY, MOMENTUM, TRUST = 1e-6, 0.9, 0.001


def load_larc():
    """Returns the class, without its package, which is for GPUs."""
    package = importlib.util.find_spec("apex")
    folder = pathlib.Path(package.origin).parent
    spec = importlib.util.spec_from_file_location(
        "apex_larc", folder / "parallel" / "LARC.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LARC


def make_arguments(**arguments):
    """Returns what is the same in both of their programs."""
    return argparse.Namespace(
        crops_for_assign=list(range(NUM_GLOBAL)),
        nmb_crops=[NUM_GLOBAL, NUM_LOCAL],
        temperature=0.1,
        feat_dim=HEAD_WIDTHS[-1],
        world_size=1,
        rank=1,  # the first one keeps records
        use_fp16=False,
        **arguments,
    )


def make_network(options, resnets, prototypes):
    """Returns their network on a vision transformer, and its optimizer.

    Args:
        options: The parsed command line.
        resnets: Their module.
        prototypes: Integer, or a list of integers.
    """
    import torch
    from torch import nn

    class OnOneDevice(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, views):
            return self.module(views)

    hidden_width, output_width = HEAD_WIDTHS
    network = resnets.ResNet(
        resnets.BasicBlock,
        [1, 1, 1, 1],
        normalize=True,
        output_dim=output_width,
        hidden_mlp=hidden_width,
        nmb_prototypes=prototypes,
    )
    for name in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"):
        delattr(network, name)
    width, *_ = SIZES[options.size]
    network.projection_head[0] = nn.Linear(width, hidden_width)
    network.trunk = trunk = make_trunk(options, dynamic_img_size=True)
    if options.compile != "off":
        trunk = torch.compile(trunk, dynamic=False)
        network.forward_head = torch.compile(
            network.forward_head, dynamic=False
        )
    # No module, which a method of the class would hide.
    network.forward_backbone = lambda images: trunk(images)
    rate = LARGE_RATE * (options.batch_size / LARGE_BATCH) ** 0.75
    optimizer = torch.optim.SGD(
        network.parameters(), rate, MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    optimizer = load_larc()(optimizer, trust_coefficient=TRUST, clip=False)
    return OnOneDevice(network), optimizer, rate


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch

    with stubs(NOT_NEEDED, options.authors):
        import main_swav

    torch.manual_seed(0)
    stay_on_the_cpu()
    start_group_of_one()
    main_swav.args = make_arguments(
        epsilon=0.05, sinkhorn_iterations=3, freeze_prototypes_niters=0
    )
    model, optimizer, rate = make_network(
        options, main_swav.resnet_models, options.clusters
    )
    loader = [view_tensors(make_views(options))]
    queue = torch.from_numpy(make_queue(options).swapaxes(0, 1).copy())

    def step():
        (_, loss), _ = main_swav.train(
            loader, model, optimizer, 0, [rate], queue
        )
        return check_loss(loss)

    return step
