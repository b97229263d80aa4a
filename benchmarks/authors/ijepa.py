"""I-JEPA's training step, from a checkout of facebookresearch/ijepa.

The step is that of `train.py`, without what is for GPUs (half precision,
several processes) and records. The forward passes of both networks and of the
predictor with the loss are compiled, which the authors do not do.
"""

import logging

from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.speed import SIZES
from benchmarks.speed import make_images
from benchmarks.steps.ijepa import PREDICTOR_LAYERS
from benchmarks.steps.ijepa import PREDICTOR_WIDTH
from benchmarks.steps.ijepa import make_masks

MOMENTUM = 0.996


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import copy

    import torch
    from torch.nn import functional

    with stubs((), options.authors):
        from src import helper
        from src.masks.utils import apply_masks
        from src.utils.tensors import repeat_interleave_batch

    torch.manual_seed(0)
    logging.disable(logging.INFO)  # they print the networks
    encoder, predictor = helper.init_model(
        "cpu",
        SIZES[options.size][-1],
        f"vit_{options.size}",
        options.image_size,
        PREDICTOR_LAYERS,
        PREDICTOR_WIDTH,
    )
    teacher = copy.deepcopy(encoder).requires_grad_(False)
    optimizer, _, rates, decays = helper.init_opt(
        encoder,
        predictor,
        iterations_per_epoch=1000,
        start_lr=2e-4,
        ref_lr=1e-3,
        warmup=40,
        num_epochs=300,
        wd=0.04,
        final_wd=0.4,
        final_lr=1e-6,
        ipe_scale=1.0,
    )
    images = channels_first(make_images(options))
    visible, predicted = (
        torch.from_numpy(indices).long() for indices in make_masks(options)
    )
    contexts, blocks = [visible], list(predicted.unbind(1))

    def forward(images):
        with torch.no_grad():
            features = teacher(images)
            features = functional.layer_norm(features, features.shape[-1:])
            features = repeat_interleave_batch(
                apply_masks(features, blocks), len(images), len(contexts)
            )
        predictions = predictor(encoder(images, contexts), contexts, blocks)
        return functional.smooth_l1_loss(predictions, features)

    if options.compile != "off":
        forward = torch.compile(forward, dynamic=False)

    def step():
        rates.step()
        decays.step()
        loss = forward(images)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for source, average in zip(
                encoder.parameters(), teacher.parameters(), strict=True
            ):
                average.data.mul_(MOMENTUM).add_(
                    (1 - MOMENTUM) * source.detach().data
                )
        return loss.item()

    return step
