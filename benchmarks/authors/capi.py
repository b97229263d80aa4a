"""CAPI's training step and encoder, from a checkout of facebookresearch/capi.

The step is that of the loop in `train_capi.py`, with their model, masks,
compiled functions and parameter groups, and the values of their default
configuration. What is left out belongs to clusters of GPUs and to records:
sharding, loss scaling, rematerialisation (which trades time for memory),
loading of data, evaluations. Masks are drawn before, as their data loader's
processes do.
"""

import argparse
import itertools

from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.authors.tensors import compute_in
from benchmarks.speed import SIZES
from benchmarks.speed import make_images

NOT_NEEDED = (
    "benchmark",
    "datasets",
    "einops",
    "filelock",
    "fsdp",
    "jaxtyping",
    "omegaconf",
    "rich",
    "scipy",
    "sklearn",
    "sklearnex",
    "torchvision",
    "xformers",
)
NUM_MASKS = 16  # batches of masks, taken in turns
MASK_RATIO, PREDICTED = 0.65, 0.05
STUDENT_TEMPERATURE = 0.12
WEIGHT_DECAY, MOMENTUM, LEARNING_RATE = 0.1, 0.999, 1e-3


def _modules(checkout):
    with stubs(NOT_NEEDED, checkout):
        import data
        import model
        import train_capi
        import utils
    return argparse.Namespace(
        data=data, model=model, train=train_capi, utils=utils
    )


def _backbone(theirs, options, drop_path_rate):
    width, heads, layers, predictor_layers, patch_size = SIZES[options.size]
    return theirs.model.EncoderDecoder(
        patch_size=patch_size,
        transformers_kwargs={
            "embed_dim": width,
            "drop_path_rate": drop_path_rate,
            "block_kwargs": {"attn_kwargs": {"num_heads": heads}},
        },
        encoder_kwargs={"depth": layers},
        decoder_kwargs={"depth": predictor_layers},
    ).init_weights()


def _batches(theirs, images, patch_size, device):
    """Yields what their loader gives: images, and indices of two subsets."""
    grid = (images.shape[-1] // patch_size,) * 2
    masks = theirs.data.mask_generators_dict["InverseBlock"](
        input_size=grid, roll=True
    )
    samples = [(image,) for image in images]
    batches = [
        theirs.data.collate_data_and_cast(
            samples,
            images.dtype,
            MASK_RATIO,
            grid[0] * grid[1],
            masks,
            PREDICTED,
        )
        | {"images": images}
        for _ in range(NUM_MASKS)
    ]
    batches = [
        {name: tensor.to(device) for name, tensor in batch.items()}
        for batch in batches
    ]
    return itertools.cycle(batches)


def training(options):
    """Returns a function that trains for a step and waits for it.

    Args:
        options: Sizes, `authors` (the path of their checkout) and `compile`
            (`"off"` runs their step eagerly). It runs on `device`, if there is
            one, and on the CPU otherwise.
    """
    import torch
    from torch import nn

    theirs = _modules(options.authors)
    torch.manual_seed(0)
    backbone = _backbone(theirs, options, drop_path_rate=0.2)
    average = _backbone(theirs, options, drop_path_rate=0.2)
    heads = [
        theirs.model.L2NormLinear(backbone.pred_dim, options.clusters)
        for _ in range(2)
    ]
    clustering = theirs.model.OnlineClustering(
        backbone.embed_dim,
        options.clusters,
        bias=True,
        n_sk_iter=3,
        target_temp=0.06,
        pred_temp=0.12,
    )
    model = nn.ModuleDict(
        {
            "student": nn.ModuleDict({"backbone": backbone, "head": heads[0]}),
            "average": nn.ModuleDict({"backbone": average, "head": heads[1]}),
            "teacher": nn.ModuleDict({"backbone": average, "head": clustering}),
        }
    )
    device = getattr(options, "device", "cpu")
    model.to(device)
    model.average.requires_grad_(False)
    model.student.train()
    model.teacher.eval()
    students = list(model.student.parameters())
    averages = list(model.average.parameters())
    with torch.no_grad():
        torch._foreach_copy_(averages, students)
    groups = theirs.utils.get_params_groups(
        model.student,
        patch_embed_lr_mult=0.2,
        rope_lr_mult=0.0,
        layernorm_wd_mult=0.1,
    )
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    clustering_optimizer = torch.optim.AdamW(
        clustering.parameters(), betas=(0.9, 0.95)
    )
    dtype = getattr(torch, options.precision)
    if dtype != torch.float32:
        compute_in(model, dtype)
    teach, study = theirs.train.do_teacher, theirs.train.do_student
    if options.compile != "off":
        teach = torch.compile(teach, dynamic=False)
        study = torch.compile(study, dynamic=False)
    batches = _batches(
        theirs,
        channels_first(make_images(options)).to(dtype),
        backbone.patch_size,
        device,
    )

    def step():
        batch = next(batches)
        for group in optimizer.param_groups:
            group["weight_decay"] = WEIGHT_DECAY * group["wd_multiplier"]
            group["lr"] = LEARNING_RATE * group["lr_multiplier"]
        for group in clustering_optimizer.param_groups:
            group["lr"] = LEARNING_RATE / 2
        optimizer.zero_grad(set_to_none=True)
        clustering_optimizer.zero_grad(set_to_none=True)
        targets, clustering_loss = teach(
            model, batch["images"], batch["predict_indices"]
        )
        clustering_loss.backward()
        loss = study(
            model,
            batch["images"],
            batch["predict_indices"],
            batch["visible_indices"],
            targets,
            STUDENT_TEMPERATURE,
        )
        loss.backward()
        entropy = -torch.xlogy(targets, targets).sum(dim=-1).mean()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_mul_(averages, MOMENTUM)
            torch._foreach_add_(averages, students, alpha=1 - MOMENTUM)
        clustering_optimizer.step()
        return [x.item() for x in (loss, clustering_loss, entropy)]

    return step


def inference(options):
    """Returns a function that averages the patch features of a batch.

    Args:
        options: As of `training`.
    """
    import torch

    theirs = _modules(options.authors)
    backbone = _backbone(theirs, options, drop_path_rate=0.0).eval()
    images = channels_first(make_images(options))

    def encode(images):
        patches, _ = backbone.forward_pretrain(images)
        return patches.mean(dim=1)

    if options.compile != "off":
        encode = torch.compile(encode, dynamic=False)

    def run():
        with torch.inference_mode():
            return encode(images).numpy()

    return run
