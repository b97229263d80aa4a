"""DINOv2's training step, from a checkout of facebookresearch/dinov2.

The step is that of `train.py` with their `SSLMetaArch` and masks, in a group of
one process, without what is for GPUs (half precision, sharding, the library
xformers: without it the views of a size go through the networks by themselves,
with torch's attention) and records. Blocks and heads are compiled, which the
authors do not do; compiling whole networks takes more than four minutes.
"""

import argparse
import logging
import os
import pathlib
import random
import warnings
from functools import partial

from benchmarks.authors.group import start_group_of_one
from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import check_loss
from benchmarks.authors.tensors import stay_on_the_cpu
from benchmarks.authors.tensors import view_tensors
from benchmarks.speed import SIZES
from benchmarks.speed import count_patches
from benchmarks.steps.dinov2 import MASK_RATIOS
from benchmarks.steps.dinov2 import MASKED_SHARE
from benchmarks.steps.dinov2 import NUM_GLOBAL
from benchmarks.steps.dinov2 import make_views

NOT_NEEDED = ("fvcore", "omegaconf", "torchvision")
ARCHITECTURE = "vit_of_this_size"
MOMENTUM, TEMPERATURE = 0.992, 0.04
WEIGHT_DECAY = 0.04


def _modules(checkout):
    # Imported first without xformers, these take torch's functions.
    os.environ["XFORMERS_DISABLED"] = "1"
    warnings.filterwarnings("ignore", message="xFormers is")
    logging.getLogger("dinov2").setLevel(logging.WARNING)
    with stubs(NOT_NEEDED, checkout):
        import dinov2.loss  # noqa: F401
        from dinov2.models import vision_transformer
    with stubs((*NOT_NEEDED, "xformers"), checkout):
        from dinov2 import data
        from dinov2.train import ssl_meta_arch
        from dinov2.train import train
    return argparse.Namespace(
        vits=vision_transformer, data=data, meta=ssl_meta_arch, train=train
    )


def _configuration(options):
    """Returns their defaults, but for what the published models have."""
    import yaml

    path = pathlib.Path(options.authors) / "dinov2/configs"
    values = yaml.safe_load((path / "ssl_default_config.yaml").read_text())
    configuration = argparse.Namespace(
        **{
            name: argparse.Namespace(**part)
            for name, part in values.items()
            if isinstance(part, dict)
        }
    )
    configuration.compute_precision.grad_scaler = False
    configuration.dino.head_n_prototypes = options.clusters
    configuration.ibot.head_n_prototypes = options.clusters
    configuration.ibot.separate_head = True
    configuration.train.centering = "sinkhorn_knopp"
    configuration.student.arch = ARCHITECTURE
    configuration.student.patch_size = SIZES[options.size][-1]
    configuration.crops.global_crops_size = options.image_size
    return configuration


def _fill_in_for_gpus(theirs):
    """Replaces what is for many GPUs, and xformers' joining of tensors."""
    import torch

    class BlockDiagonalMask:
        def __init__(self, tensors):
            self.sizes = [tensor.shape[1] for tensor in tensors]

        @classmethod
        def from_tensor_list(cls, tensors):
            return cls(tensors), torch.cat(tensors, dim=1)

        def split(self, tensor):
            return list(tensor.split(self.sizes, dim=1))

    theirs.meta.fmha = argparse.Namespace(BlockDiagonalMask=BlockDiagonalMask)
    theirs.meta.reshard_fsdp_model = lambda module: None
    theirs.meta.get_fsdp_modules = lambda module: [
        argparse.Namespace(params=list(module.parameters()))
    ]
    stay_on_the_cpu()


def _model(theirs, options, configuration):
    """Returns their model, with a student that takes lists of views."""
    from torch import nn

    class OneSizeAfterTheOther(nn.Module):
        def __init__(self, backbone):
            super().__init__()
            self.backbone = backbone

        def forward(self, views, masks, is_training):
            return [
                self.backbone(images, masks=mask, is_training=is_training)
                for images, mask in zip(views, masks, strict=True)
            ]

    width, heads, layers, *_ = SIZES[options.size]
    block = partial(theirs.vits.Block, attn_class=theirs.vits.MemEffAttention)
    architecture = partial(
        theirs.vits.DinoVisionTransformer,
        embed_dim=width,
        depth=layers,
        num_heads=heads,
        block_fn=block,
    )
    setattr(theirs.vits, ARCHITECTURE, architecture)
    model = theirs.meta.SSLMetaArch(configuration)
    model.need_to_synchronize_fsdp_streams = False
    model.teacher.load_state_dict(model.student.state_dict())
    groups = model.get_params_groups()
    if options.compile != "off":
        for network in (model.student, model.teacher):
            for part in (*network["backbone"].blocks, *network.values()):
                if part is not network["backbone"]:
                    part.compile(dynamic=False)
    model.student["backbone"] = OneSizeAfterTheOther(model.student["backbone"])
    model.train()
    return model, groups


def _batch(theirs, options):
    """Returns what their loader gives."""
    import torch

    side = options.image_size // SIZES[options.size][-1]
    views = view_tensors(make_views(options))
    samples = [
        (
            {
                "global_crops": [view[i] for view in views[:NUM_GLOBAL]],
                "local_crops": [view[i] for view in views[NUM_GLOBAL:]],
            },
        )
        for i in range(options.batch_size)
    ]
    return theirs.data.collate_data_and_cast(
        samples,
        MASK_RATIOS,
        MASKED_SHARE,
        torch.float32,
        count_patches(options.image_size, SIZES[options.size][-1]),
        theirs.data.MaskingGenerator((side, side), max_num_patches=side**2 / 2),
    )


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch

    theirs = _modules(options.authors)
    torch.manual_seed(0)
    random.seed(0)
    start_group_of_one()
    _fill_in_for_gpus(theirs)
    configuration = _configuration(options)
    model, groups = _model(theirs, options, configuration)
    optimizer = theirs.train.build_optimizer(configuration, groups)
    rate = configuration.optim.base_lr * (options.batch_size / 1024) ** 0.5
    batch = _batch(theirs, options)

    def step():
        theirs.train.apply_optim_scheduler(optimizer, rate, WEIGHT_DECAY, rate)
        optimizer.zero_grad(set_to_none=True)
        losses = model.forward_backward(batch, teacher_temp=TEMPERATURE)
        for part in model.student.values():
            torch.nn.utils.clip_grad_norm_(
                part.parameters(), configuration.optim.clip_grad
            )
        optimizer.step()
        model.update_teacher(MOMENTUM)
        return [check_loss(loss.item()) for loss in losses.values()]

    return step
