"""Files laid out as MAE and DINO are published, of their authors' arrays."""

import argparse
import pathlib

import numpy as np
import torch
from helpers import method_arrays

SIZES = {
    "patch_size": 4,
    "hidden_dim": 48,
    "num_heads": 3,
    "image_shape": (32, 32, 3),
}


def under(name, prefix):
    """The arrays of a method whose names start with a prefix, as tensors."""
    return {
        key.removeprefix(prefix): torch.tensor(value)
        for key, value in method_arrays(name).items()
        if key.startswith(prefix)
    }


def saved(folder, content):
    path = folder / "checkpoint.pth"
    torch.save(content, path)
    return path


def optimizer_state():
    """What an optimizer stores: numbers, of NumPy too, lists and tensors."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=1e-3)
    weight.sum().backward()
    optimizer.step()
    # As a schedule of NumPy assigns it.
    optimizer.param_groups[0]["lr"] = np.linspace(0.0, 1.0, 3)[1]
    return optimizer.state_dict()


def training_settings():
    return argparse.Namespace(
        arch="vit_small",
        output_dir=pathlib.PurePosixPath("runs"),
        lr=np.float64(1e-3),
        crops=(0.4, 1.0),
    )


def mae_model():
    """Encoder and decoder."""
    return under("mae", "weights/")


def mae_encoder():
    return {
        key: value
        for key, value in mae_model().items()
        if not key.startswith(("decoder", "mask_token"))
    }


def mae_fine_tuned():
    """An encoder with trained positions, a norm behind pooling and a head."""
    state = mae_encoder()
    state["pos_embed"] = state["pos_embed"] + 0.1
    del state["norm.weight"], state["norm.bias"]
    return {
        **state,
        **{f"fc_norm.{k}": v for k, v in under("mae", "eval/fc_norm.").items()},
        "head.weight": torch.ones(5, 48),
        "head.bias": torch.zeros(5),
    }


def mae_training():
    return {
        "model": mae_model(),
        "optimizer": optimizer_state(),
        "epoch": 799,
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
        "args": training_settings(),
    }


def dino_backbone(part="teacher"):
    return under("dino", f"weights/{part}.backbone.")


def dino_training():
    return {
        "student": {
            f"module.{key}": value
            for key, value in under("dino", "weights/student.").items()
        },
        "teacher": under("dino", "weights/teacher."),
        "optimizer": optimizer_state(),
        "epoch": 100,
        "args": training_settings(),
        "dino_loss": {"center": under("dino", "weights/")["center"]},
        "fp16_scaler": {"scale": 65536.0, "_growth_tracker": 3},
    }
