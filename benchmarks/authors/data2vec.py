"""data2vec's training step, from `beit` of facebookresearch/data2vec_vision.

The step is that of `engine_for_cyclical.py`, without what is for GPUs (half
precision, scaling of losses) and records. The teacher averages parameters; as
published it averages the indices of relative positions too. Their model takes
stochastic depth from `timm`, of which any installed version serves. The forward
passes of both networks with the loss are compiled, which the authors do not do:
in parts, as how many patches are hidden is known only when they run.
"""

import math

from benchmarks.authors.beit import NOT_NEEDED
from benchmarks.authors.beit import make_optimizer
from benchmarks.authors.beit import model_arguments
from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.speed import make_images
from benchmarks.steps.data2vec import DROP_PATH_RATE
from benchmarks.steps.data2vec import LAYER_SCALE
from benchmarks.steps.data2vec import make_masks

LEARNING_RATE = 2e-3
NUM_TARGET_LAYERS = 6
BETA, CLIP, MOMENTUM = 2.0, 3.0, 0.9998


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import copy

    import torch
    from torch.nn import functional

    with stubs(NOT_NEEDED, options.authors):
        import modeling_cyclical

    torch.manual_seed(0)
    model = modeling_cyclical.VisionTransformerForCyclicalTraining(
        **model_arguments(options, DROP_PATH_RATE, LAYER_SCALE)
    ).train()
    teacher = copy.deepcopy(model).eval()
    optimizer = make_optimizer(model, LEARNING_RATE, options.authors)
    images = channels_first(make_images(options))
    masks = torch.from_numpy(make_masks(options))

    def forward(images, masks):
        with torch.no_grad():
            layers = teacher(images, bool_masked_pos=None, layer_results="end")
            width = layers[0].shape[-1:]
            layers = [
                functional.layer_norm(layer, width)
                for layer in layers[-NUM_TARGET_LAYERS:]
            ]
            targets = functional.layer_norm(sum(layers) / len(layers), width)
            targets = targets.reshape(-1, *width)[masks.flatten()]
        predictions = model(images, bool_masked_pos=masks)
        return functional.smooth_l1_loss(predictions, targets, beta=BETA)

    if options.compile != "off":
        forward = torch.compile(forward, dynamic=False)

    def step():
        loss = forward(images, masks)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError("The loss is not finite.")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        with torch.no_grad():
            for source, average in zip(
                model.parameters(), teacher.parameters(), strict=True
            ):
                average.copy_(MOMENTUM * average + (1 - MOMENTUM) * source)
        return value

    return step
