"""AIM's training step, on the model of a checkout of apple/ml-aim.

Of the training they published the paper alone: encoder, attention and
perceptrons are theirs, the head and the loss are made of them as the paper
says, and so is the step. The forward pass with the loss is compiled.
"""

from benchmarks.authors.stubs import stubs
from benchmarks.authors.tensors import channels_first
from benchmarks.authors.tensors import check_loss
from benchmarks.speed import SIZES
from benchmarks.speed import count_patches
from benchmarks.speed import make_images
from benchmarks.steps.aim import HEAD_LAYERS
from benchmarks.steps.aim import make_prefixes

NOT_NEEDED = ("huggingface_hub",)
LEARNING_RATE, WEIGHT_DECAY, BETAS, CLIP = 1e-3, 0.05, (0.9, 0.95), 1.0


def _model(options):
    from torch import nn

    with stubs(NOT_NEEDED, f"{options.authors}/aim-v1"):
        from aim.v1.torch import layers
        from aim.v1.torch import models

    width, heads, num_layers, _, patch_size = SIZES[options.size]
    patches = count_patches(options.image_size, patch_size)

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = layers.SinCosPosEmbed()
            self.embedding = nn.Linear(width, width, bias=False)
            self.norms = nn.ModuleList(
                layers.LayerNorm(width) for _ in range(HEAD_LAYERS)
            )
            self.perceptrons = nn.ModuleList(
                layers.MLP(width, 4 * width, use_bias=False)
                for _ in range(HEAD_LAYERS)
            )
            self.norm = layers.LayerNorm(width)
            self.prediction = nn.Linear(width, 3 * patch_size**2, bias=False)

        def forward(self, x):
            side = options.image_size // patch_size
            x = self.embedding(x + self.positions(side, side, width))
            for norm, perceptron in zip(
                self.norms, self.perceptrons, strict=True
            ):
                x = x + perceptron(norm(x))
            return self.prediction(self.norm(x))

    def attention(use_bias):
        return layers.PrefixCausalAttention(
            width, heads, use_bias=use_bias, num_patches=patches
        )

    patchifier = layers.PatchEmbed(
        options.image_size, patch_size, 3, width, layers.LayerNorm
    )
    return models.AIM(
        layers.ViTPreprocessor(patchifier),
        models.Transformer(attention, width, num_layers),
        Head(),
    )


def training(options):
    """Returns a function that trains for a step and waits for it."""
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    model = _model(options).train()
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1]},
            {
                "params": [p for p in model.parameters() if p.ndim <= 1],
                "weight_decay": 0.0,
            },
        ],
        lr=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        betas=BETAS,
    )
    images = channels_first(make_images(options))
    patch_size = SIZES[options.size][-1]
    places = torch.arange(count_patches(options.image_size, patch_size))
    lengths = torch.from_numpy(make_prefixes(options))
    masks = places >= lengths[:, None]

    def forward(images, masks):
        predictions = model(images, mask=masks)
        pixels = functional.unfold(images, patch_size, stride=patch_size).mT
        mean = pixels.mean(-1, keepdim=True)
        variance = pixels.var(-1, keepdim=True)
        targets = (pixels - mean) / (variance + 1e-6).sqrt()
        errors = (predictions[:, :-1] - targets[:, 1:]).square().mean(-1)
        counted = masks[:, 1:].to(errors.dtype)
        return (errors * counted).sum() / counted.sum()

    if options.compile != "off":
        forward = torch.compile(forward, dynamic=False)

    def step():
        loss = forward(images, masks)
        value = check_loss(loss.item())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        return value

    return step
