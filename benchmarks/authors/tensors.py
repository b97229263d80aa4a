"""Arrays as the authors' code takes them."""

import math


def channels_first(images):
    """Returns a tensor of images, in the memory's order of a loader's stack."""
    import torch

    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy(order="C"))


def view_tensors(views):
    """Returns a list of tensors, one for each view, the large ones first.

    Args:
        views: List of arrays `(batch, views, height, width, channels)`.
    """
    return [
        channels_first(images)
        for of_a_size in views
        for images in of_a_size.swapaxes(0, 1)
    ]


def stay_on_the_cpu():
    """Has tensors stay where they are when they are to go to a GPU."""
    import torch

    torch.Tensor.cuda = lambda tensor, *_, **__: tensor


def check_loss(value):
    """Raises a `FloatingPointError` if a loss is not finite, or returns it."""
    if not math.isfinite(value):
        raise FloatingPointError("The loss is not finite.")
    return value


def compute_in(module, dtype):
    """Lets a module compute in a type, and keeps its parameters as they are.

    As the authors' wrapper for many GPUs does, by a parametrization.
    """
    from torch import nn
    from torch.nn.utils.parametrize import register_parametrization

    class Cast(nn.Module):
        def forward(self, x):
            return x.to(dtype)

    for part in list(module.modules()):
        for name, _ in list(part.named_parameters(recurse=False)):
            register_parametrization(part, name, Cast(), unsafe=True)
