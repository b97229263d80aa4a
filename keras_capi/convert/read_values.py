import numpy as np


def read_values(state, path):
    """Reads the values of tensors, which must be finite.

    Args:
        state: Dictionary from name to torch tensor.
        path: `pathlib.Path` of their file.

    Returns:
        Dictionary from name to NumPy array in float32.

    Raises:
        ValueError: If the file is too small for them, or a value is not finite.
    """
    # Checked before copying: tensors may share data that the file holds once.
    size, capacity = sum(v.nbytes for v in state.values()), path.stat().st_size
    if size > capacity:
        raise ValueError(
            f"The tensors of {path} must not share numbers. Received: tensors "
            f"of {size:,} bytes in a file of {capacity:,}"
        )
    misfits = sorted(k for k, v in state.items() if not v.is_floating_point())
    if misfits:
        raise ValueError(
            f"The weights in {path} must be floating point. Received: others "
            f"in {misfits[:20]}"
        )
    values = {
        key: value.detach().float().numpy() for key, value in state.items()
    }
    check_finite(values, path)
    return values


def check_finite(values, path):
    """Raises a `ValueError` if weights are NaN or infinite.

    Args:
        values: Dictionary from name to NumPy array.
        path: Path of their file, for the error.
    """
    broken = sorted(k for k, v in values.items() if not np.isfinite(v).all())
    if broken:
        raise ValueError(
            f"The weights in {path} must be finite. Received: NaN or infinite "
            f"values in {broken[:20]}"
        )
