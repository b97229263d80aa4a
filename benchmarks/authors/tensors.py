"""Arrays as the authors' code takes them."""


def channels_first(images):
    """Returns a tensor of images, in the memory's order of a loader's stack."""
    import torch

    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy(order="C"))


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
