"""DINO's training step, from a checkout of facebookresearch/dino.

The step is that of `main_dino.py`, without what is for GPUs and records, in a
group of one process. Blocks and heads are compiled, which the authors do not
do; compiling whole networks takes three minutes.
"""

import math

from benchmarks.authors.group import start_group_of_one
from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.speed import SIZES
from benchmarks.steps.dino import DROP_PATH_RATE
from benchmarks.steps.dino import NUM_GLOBAL
from benchmarks.steps.dino import NUM_LOCAL
from benchmarks.steps.dino import make_views

EPOCH = 1  # after the one in which the prototypes stand still
MOMENTUM, CLIP = 0.996, 3.0


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch

    with stubs(("torchvision",), options.authors):
        import main_dino
        import utils
        import vision_transformer

    width, heads, layers, _, patch_size = SIZES[options.size]

    def network(drop_path_rate):
        backbone = vision_transformer.VisionTransformer(
            [options.image_size],
            patch_size,
            embed_dim=width,
            depth=layers,
            num_heads=heads,
            qkv_bias=True,
            drop_path_rate=drop_path_rate,
        )
        head = vision_transformer.DINOHead(width, options.clusters)
        return utils.MultiCropWrapper(backbone, head)

    torch.manual_seed(0)
    start_group_of_one()
    student, teacher = network(DROP_PATH_RATE), network(0.0)
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False)
    criterion = main_dino.DINOLoss(
        options.clusters, NUM_GLOBAL + NUM_LOCAL, 0.04, 0.04, 0, 100
    )
    optimizer = torch.optim.AdamW(
        utils.get_params_groups(student),
        lr=5e-4 * options.batch_size / 256,
        weight_decay=0.04,
    )
    views = [
        channels_first(images)
        for views in make_views(options)
        for images in views.swapaxes(0, 1)
    ]
    if options.compile != "off":
        # Each block has another rate of stochastic depth, so is compiled anew.
        torch._dynamo.config.recompile_limit = 64
        for model in (student, teacher):
            for part in (*model.backbone.blocks, model.head):
                part.compile(dynamic=False)

    def step():
        loss = criterion(student(views), teacher(views[:NUM_GLOBAL]), EPOCH)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError("The loss is not finite.")
        optimizer.zero_grad()
        loss.backward()
        utils.clip_gradients(student, CLIP)
        utils.cancel_gradients_last_layer(EPOCH, student, 1)
        optimizer.step()
        with torch.no_grad():
            for source, average in zip(
                student.parameters(), teacher.parameters(), strict=True
            ):
                average.data.mul_(MOMENTUM).add_(
                    (1 - MOMENTUM) * source.detach().data
                )
        return value

    return step
