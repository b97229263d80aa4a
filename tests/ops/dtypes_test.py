"""The dtype of what an operation is given: NumPy's is float64."""

import keras
import numpy as np
import pytest
from backend_helpers import BACKEND
from helpers import to_numpy
from keras import tree
from public_calls import BASE
from public_calls import random

from keras_capi import layers
from keras_capi import ops

CALLS = {
    **{k[4:]: v for k, v in BASE.items() if k.startswith("ops.")},
    "apply_rotary": {
        "x": random(2, 3, 2, 4),
        "cosine": random(1, 3, 1, 4),
        "sine": random(1, 3, 1, 4),
    },
    "average_layers": {"layers": random(2, 2, 3, 4)},
    "entropy": {"probabilities": random(2, 3)},
    "feature_deviation": {"features": random(4, 3)},
    "gather_tokens": {"tokens": random(2, 3, 4), "indices": [[0], [1]]},
    "koleo": {"features": random(4, 3)},
    "label_cross_entropy": {"labels": [0, 1], "logits": random(2, 3)},
    "lab_to_rgb": {"lab": random(2, 3)},
    "logit_laplace": {
        "targets": random(2, 3) / 2 + 0.1,
        "predictions": random(2, 3),
        "log_scales": random(2, 3),
    },
    "masked_mean": {"values": random(2), "mask": np.array([True, False])},
    "nearest_centroids": {"vectors": random(3, 2), "centroids": random(2, 2)},
    "nearest_colors": {"pixels": random(3, 2), "palette": random(2, 2)},
    "quick_gelu": {"x": random(3)},
    "rgb_to_lab": {"images": random(2, 3)},
    "rotary_angles": {
        "coordinates": random(2, 3, 2),
        "frequencies": random(2, 4),
    },
    "rotate_quarters": {"images": random(1, 2, 2, 3)},
    "scale_to_bounding_box": {
        "coordinates": random(3, 2),
        "reference": random(2, 4, 2),
    },
    "shared_cross_entropy": {
        "indices": np.array([[0, 1]]),
        "shares": random(1, 2),
        "logits": random(1, 3),
    },
    "sobel_filter": {"images": random(1, 4, 4, 3)},
    "swiglu": {"x": random(3, 4)},
}
# Their outputs have the dtype of an input.
KEEP = (
    "apply_rotary",
    "extract_patches",
    "gather_tokens",
    "gather_tokens_in_range",
    "join_patches",
    "quick_gelu",
    "rms_normalize",
    "rotate_quarters",
    "slice_tokens",
    "sobel_filter",
    "swiglu",
)
# JAX has no tensors of 64 bits, unless users ask for them.
LONGEST = "float32" if BACKEND == "jax" else "float64"
CONVERSIONS = {
    "array": lambda x: x.astype("float64"),
    "tensor": lambda x: keras.ops.convert_to_tensor(x, LONGEST),
}


@pytest.mark.parametrize("kind", CONVERSIONS)
@pytest.mark.parametrize("name", CALLS)
def test_arguments_in_float64(name, kind):
    def convert(x):
        is_float = isinstance(x, np.ndarray) and x.dtype == np.float32
        return CONVERSIONS[kind](x) if is_float else x

    arguments = {k: convert(v) for k, v in CALLS[name].items()}
    expected = tree.flatten(getattr(ops, name)(**CALLS[name]))
    outputs = tree.flatten(getattr(ops, name)(**arguments))
    for output, value in zip(outputs, expected, strict=True):
        if name not in KEEP and hasattr(output, "dtype"):
            dtype = keras.backend.standardize_dtype(output.dtype)
            assert dtype != "float64"
        np.testing.assert_allclose(
            to_numpy(output), to_numpy(value), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("scale_to_visible", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", LONGEST])
def test_coordinates_of_registers_are_float32(dtype, scale_to_visible):
    coordinates = keras.ops.convert_to_tensor(random(2, 3, 2), dtype)
    layer = layers.RegisterTokens(4, scale_to_visible=scale_to_visible)
    _, outputs = layer(random(2, 3, 8), coordinates)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
