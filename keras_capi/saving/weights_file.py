"""Checks of files with weights, before and after they are loaded."""

import math

import h5py
import keras
from keras import ops


def has_known_size(cls):
    """Returns whether `check_size` knows what a class makes of its arguments.

    Blocks of encoders from elsewhere may be of any kind, and far smaller.

    Args:
        cls: Class of an encoder.
    """
    return keras.saving.get_registered_name(cls).startswith("keras_capi>")


def check_size(config, available, file):
    """Raises a `ValueError` if a file cannot hold what a config describes.

    Called before a model is built: a damaged or hostile file may describe one
    that no memory holds.

    Args:
        config: Dictionary, arguments of an encoder of this package.
        available: Integer. The count of numbers in the file.
        file: Path, for the error.
    """

    # At least: what is not given, or follows from the rest, counts as little.
    def size(name, otherwise=0):
        return config.get(name) or otherwise

    width = size("hidden_dim")
    num_channels = size("image_shape", (1,))[-1]
    needed = width * (
        num_channels * size("patch_size") ** 2 + size("num_register_tokens")
    )
    # A fused predictor has no blocks, whatever their sizes.
    is_fused = config.get("predictor") == "fused"
    for prefix in ("",) if is_fused else ("", "predictor_"):
        stack_width = size(prefix + "hidden_dim", width)
        # Query and output of its own width, keys and values of the encoder's,
        # and two kernels of the perceptron.
        block = 2 * (stack_width + width + size(prefix + "mlp_dim"))
        needed += size(prefix + "num_layers") * (1 + stack_width * block)
    # Single tensors that are cut off have errors of their own.
    if needed > 4 * available + 1000:
        raise ValueError(
            f"{file} describes an architecture of more than {needed:,} "
            f"numbers, and holds {available:,}."
        )


def stored_shapes(file):
    """Returns the shapes of the arrays in a `.weights.h5` file, by name.

    Args:
        file: Path, or a file opened to read.
    """
    shapes = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            shapes[name] = item.shape

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return shapes


def count_numbers(file):
    """Returns how many numbers the weights in a `.weights.h5` file have."""
    return sum(map(math.prod, stored_shapes(file).values()))


def check_finite_weights(model, file):
    """Raises a `ValueError` if weights are NaN or infinite.

    Args:
        model: Model with its weights.
        file: Path that they come from, for the error.
    """
    broken = [
        weight.path
        for weight in model.weights
        if "float" in weight.dtype and not ops.all(ops.isfinite(weight.value))
    ]
    if broken:
        raise ValueError(
            f"The weights in {file} must be finite. Received: NaN or infinite "
            f"values in {broken[:20]}"
        )
