"""The vision transformer of methods whose authors have another network."""

from benchmarks.authors.stubs import stubs
from benchmarks.speed import SIZES

NOT_NEEDED = ("huggingface_hub", "safetensors", "torchvision", "yaml")


def make_trunk(options, **arguments):
    """Returns a transformer of `timm`, of which any recent version serves.

    Args:
        options: The parsed command line.
        **arguments: Other arguments of the transformer.
    """
    with stubs(NOT_NEEDED, options.authors):
        from timm.models.vision_transformer import VisionTransformer

    width, heads, layers, _, patch_size = SIZES[options.size]
    settings = {
        "img_size": options.image_size,
        "patch_size": patch_size,
        "embed_dim": width,
        "depth": layers,
        "num_heads": heads,
        "num_classes": 0,
    }
    return VisionTransformer(**settings | arguments)
