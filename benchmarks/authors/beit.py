"""BEiT's training step, from the folder `beit` of microsoft/unilm.

The step is that of `engine_for_pretraining.py`, without what is for GPUs (half
precision, scaling of losses), records, and the tokenizer: the words are there.
Their model takes stochastic depth from `timm`, of which any installed version
serves. The forward pass with the loss is compiled, which the authors do not do:
in two parts, as how many patches are hidden is known only when it runs.
"""

import argparse
import contextlib
import io
import math
from functools import partial

from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.speed import SIZES
from benchmarks.speed import make_images
from benchmarks.steps.beit import DROP_PATH_RATE
from benchmarks.steps.beit import LAYER_SCALE
from benchmarks.steps.beit import VOCABULARY_SIZE
from benchmarks.steps.beit import make_masks
from benchmarks.steps.beit import make_words

NOT_NEEDED = ("huggingface_hub", "safetensors", "torchvision", "yaml")
LEARNING_RATE = 1.5e-3
CLIP = 3.0


def make_optimizer(model, learning_rate, checkout):
    """Returns their optimizer, which decays what theirs does."""
    # Recent versions of `timm`, which is imported by now, have not all of the
    # optimizers that are imported here.
    with stubs(("timm",), checkout):
        import optim_factory

    settings = argparse.Namespace(
        opt="adamw",
        lr=learning_rate,
        weight_decay=0.05,
        opt_eps=1e-8,
        opt_betas=(0.9, 0.999),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # names of all parameters
        return optim_factory.create_optimizer(settings, model)


def model_arguments(options, drop_path_rate, layer_scale):
    """Returns the arguments of their vision transformer of a size."""
    from torch import nn

    width, heads, layers, _, patch_size = SIZES[options.size]
    return {
        "img_size": options.image_size,
        "patch_size": patch_size,
        "embed_dim": width,
        "depth": layers,
        "num_heads": heads,
        "qkv_bias": True,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "drop_path_rate": drop_path_rate,
        "init_values": layer_scale,
        "use_abs_pos_emb": False,
        "use_shared_rel_pos_bias": True,
    }


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch
    from torch.nn import functional

    with stubs(NOT_NEEDED, options.authors):
        import modeling_pretrain

    torch.manual_seed(0)
    model = modeling_pretrain.VisionTransformerForMaskedImageModeling(
        vocab_size=VOCABULARY_SIZE,
        **model_arguments(options, DROP_PATH_RATE, LAYER_SCALE),
    ).train()
    optimizer = make_optimizer(model, LEARNING_RATE, options.authors)
    images = channels_first(make_images(options))
    masks = torch.from_numpy(make_masks(options))
    words = torch.from_numpy(make_words(options)).long()

    def forward(images, masks, labels):
        scores = model(images, bool_masked_pos=masks)
        return functional.cross_entropy(scores, labels), scores

    if options.compile != "off":
        forward = torch.compile(forward, dynamic=False)

    def step():
        labels = words[masks]
        loss, scores = forward(images, masks, labels)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError("The loss is not finite.")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        accuracy = (scores.max(-1)[1] == labels).float().mean().item()
        return value, accuracy

    return step
