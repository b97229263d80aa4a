"""Blocks token by token, against all tokens at once."""

import keras
import numpy as np
import pytest
from helpers import to_numpy
from keras import ops

from keras_capi.layers.blocks.block_stack import make_blocks
from keras_capi.layers.blocks.block_stack import make_caches
from keras_capi.layers.blocks.block_stack import run_blocks
from keras_capi.layers.blocks.block_stack import run_blocks_on_next
from keras_capi.ops import prefix_mask


@pytest.mark.parametrize(
    ("arguments", "tolerance"),
    [
        (
            {"normalization": "layer", "use_bias": True, "layer_scale": 0.5},
            1e-5,
        ),
        ({"dtype": "mixed_bfloat16", "activation": "quick_gelu"}, 0.1),
    ],
)
def test_tokens_one_by_one(arguments, tolerance):
    keras.utils.set_random_seed(0)
    blocks = make_blocks(2, num_heads=2, rotary=False, **arguments)
    for block in blocks:
        block.build((None, None, 8))
    tokens = keras.random.normal((3, 4, 8))
    order = prefix_mask(np.zeros(1, "int32"), 4)
    (*_, expected) = run_blocks(blocks, tokens, attention_mask=order)
    caches = make_caches(blocks, 3, 4)
    for place in range(4):
        token = ops.cast(tokens[:, place : place + 1], blocks[0].compute_dtype)
        output, caches = run_blocks_on_next(blocks, token, caches, place)
        assert output.dtype == expected.dtype
        np.testing.assert_allclose(
            to_numpy(ops.cast(output, "float32"))[:, 0],
            to_numpy(ops.cast(expected, "float32"))[:, place],
            atol=tolerance,
        )
    assert ops.shape(caches[0][0]) == (3, 4, 2, 4)
