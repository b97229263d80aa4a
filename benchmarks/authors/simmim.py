"""SimMIM's training step, from a checkout of microsoft/SimMIM.

The step is that of `main_simmim.py`, without what is for GPUs (half precision,
several processes) and records. Their model takes stochastic depth from `timm`,
of which any installed version serves. The whole forward pass with the loss is
compiled, which the authors do not do.
"""

import logging
from functools import partial

from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.speed import SIZES
from benchmarks.speed import make_images
from benchmarks.steps.simmim import DROP_PATH_RATE
from benchmarks.steps.simmim import LAYER_SCALE
from benchmarks.steps.simmim import make_masks

NOT_NEEDED = ("huggingface_hub", "safetensors", "torchvision", "yaml")
CLIP = 5.0


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch

    with stubs(NOT_NEEDED, options.authors):
        import models.simmim as theirs
        import optimizer as optimizers

    torch.manual_seed(0)
    width, heads, layers, _, patch_size = SIZES[options.size]
    encoder = theirs.VisionTransformerForSimMIM(
        img_size=options.image_size,
        patch_size=patch_size,
        num_classes=0,
        embed_dim=width,
        depth=layers,
        num_heads=heads,
        qkv_bias=True,
        drop_path_rate=DROP_PATH_RATE,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        init_values=LAYER_SCALE,
        use_abs_pos_emb=False,
        use_shared_rel_pos_bias=True,
        use_mean_pooling=False,
    )
    model = theirs.SimMIM(encoder, patch_size).train()
    optimizer = torch.optim.AdamW(
        optimizers.get_pretrain_param_groups(
            model,
            logging.getLogger(__name__),
            model.no_weight_decay(),
            model.no_weight_decay_keywords(),
        ),
        lr=1e-4 * options.batch_size / 512,
        weight_decay=0.05,
    )
    images = channels_first(make_images(options))
    masks = torch.from_numpy(make_masks(options).astype("int64"))
    forward = model
    if options.compile != "off":
        forward = torch.compile(model, dynamic=False)

    def step():
        loss = forward(images, masks)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        return loss.item()

    return step
