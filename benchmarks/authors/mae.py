"""MAE's training step, from a checkout of facebookresearch/mae.

The step is that of `engine_pretrain.py`, without what is for GPUs (scaling of
losses, accumulation) and records. Their model takes its blocks from `timm`, of
which any installed version serves: recent ones compute attention in one piece,
which is faster than at the time of the paper. The whole forward pass with the
loss is compiled, which the authors do not do.
"""

from functools import partial

from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.speed import SIZES
from benchmarks.speed import make_images
from benchmarks.steps.mae import DECODER_LAYERS
from benchmarks.steps.mae import DECODER_WIDTH

NOT_NEEDED = ("huggingface_hub", "safetensors", "torchvision", "yaml")
MASK_RATIO = 0.75


def _model(options):
    import numpy as np
    import torch

    width, heads, layers, _, patch_size = SIZES[options.size]
    with stubs(NOT_NEEDED, options.authors):
        import models_mae

    # What they call is no longer there.
    np.float = float
    block = models_mae.Block
    models_mae.Block = lambda *args, qk_scale, **kwargs: block(*args, **kwargs)
    return models_mae.MaskedAutoencoderViT(
        options.image_size,
        patch_size,
        embed_dim=width,
        depth=layers,
        num_heads=heads,
        decoder_embed_dim=DECODER_WIDTH,
        decoder_depth=DECODER_LAYERS,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        norm_pix_loss=True,
    )


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch

    torch.manual_seed(0)
    model = _model(options).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0},
        ],
        lr=1.5e-4 * options.batch_size / 256,
        weight_decay=0.05,
        betas=(0.9, 0.95),
    )
    images = channels_first(make_images(options))
    forward = model
    if options.compile != "off":
        forward = torch.compile(model, dynamic=False)

    def step():
        loss, _, _ = forward(images, mask_ratio=MASK_RATIO)
        value = loss.item()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return value

    return step
