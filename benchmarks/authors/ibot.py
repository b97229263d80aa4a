"""iBOT's training step, from a checkout of bytedance/ibot.

The step is that of `main_ibot.py`, without what is for GPUs and records, in a
group of one process. Both networks are compiled, which the authors do not do.
"""

import math

from benchmarks.authors.group import start_group_of_one
from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.speed import SIZES
from benchmarks.steps.ibot import DROP_PATH_RATE
from benchmarks.steps.ibot import NUM_GLOBAL
from benchmarks.steps.ibot import NUM_LOCAL
from benchmarks.steps.ibot import make_masks
from benchmarks.steps.ibot import make_views

NOT_NEEDED = ("evaluation", "tensorboardX", "timm", "torchvision")
EPOCH = 1  # after the one in which the prototypes stand still
MOMENTUM, CLIP = 0.996, 3.0


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch

    with stubs(NOT_NEEDED, options.authors):
        import main_ibot
        import utils
        from models.head import iBOTHead
        from models.vision_transformer import VisionTransformer

    width, heads, layers, _, patch_size = SIZES[options.size]

    def network(**arguments):
        backbone = VisionTransformer(
            [options.image_size],
            patch_size,
            embed_dim=width,
            depth=layers,
            num_heads=heads,
            qkv_bias=True,
            return_all_tokens=True,
            **arguments,
        )
        head = iBOTHead(width, options.clusters, shared_head=True)
        return utils.MultiCropWrapper(backbone, head)

    torch.manual_seed(0)
    start_group_of_one()
    student = network(drop_path_rate=DROP_PATH_RATE, masked_im_modeling=True)
    teacher = network()
    teacher.load_state_dict(student.state_dict(), strict=False)
    teacher.requires_grad_(False)
    criterion = main_ibot.iBOTLoss(
        options.clusters,
        options.clusters,
        NUM_GLOBAL,
        NUM_LOCAL,
        warmup_teacher_temp=0.04,
        teacher_temp=0.07,
        warmup_teacher_temp2=0.04,
        teacher_temp2=0.07,
        warmup_teacher_temp_epochs=30,
        nepochs=800,
    )
    optimizer = torch.optim.AdamW(
        utils.get_params_groups(student),
        lr=5e-4 * options.batch_size / 256,
        weight_decay=0.04,
    )
    averages = dict(teacher.named_parameters())
    pairs = [
        (source, averages[name])
        for name, source in student.named_parameters()
        if name in averages
    ]
    large, small = (
        [channels_first(images) for images in views.swapaxes(0, 1)]
        for views in make_views(options)
    )
    masks = [
        torch.from_numpy(mask.copy())
        for mask in make_masks(options).swapaxes(0, 1)
    ]
    study, teach = student, teacher
    if options.compile != "off":
        study = torch.compile(student, dynamic=False)
        teach = torch.compile(teacher, dynamic=False)

    def step():
        targets = teach(large)
        scores = study(large, mask=masks)
        student.backbone.masked_im_modeling = False
        local_scores = study(small)[0]
        student.backbone.masked_im_modeling = True
        losses = criterion(scores, targets, local_scores, masks, EPOCH)
        value = losses["loss"].item()
        if not math.isfinite(value):
            raise FloatingPointError("The loss is not finite.")
        optimizer.zero_grad()
        losses["loss"].backward()
        utils.clip_gradients(student, CLIP)
        utils.cancel_gradients_last_layer(EPOCH, student, 1)
        optimizer.step()
        with torch.no_grad():
            for source, average in pairs:
                average.data.mul_(MOMENTUM).add_(
                    (1 - MOMENTUM) * source.detach().data
                )
        return value, losses["cls"].item(), losses["patch"].item()

    return step
