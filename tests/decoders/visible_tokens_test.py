"""Decoders of visible tokens need to know where each of these is."""

import keras
import numpy as np
import pytest

from keras_capi import decoders

PREFIX, PATCHES = (np.zeros((2, n, 16), "float32") for n in (1, 3))
VISIBLE = np.array([[0, 4, 2], [5, 1, 3]], "int32")
SIZES = {"num_layers": 1, "hidden_dim": 16, "num_heads": 2}


def decode_pixels(patches, visible):
    decoder = decoders.MaskTokenDecoder(16, 12, (2, 3), **SIZES)
    return decoder, (PREFIX, patches, visible, VISIBLE[::-1].copy())


def predict_blocks(patches, visible):
    decoder = decoders.SelfAttentionPredictor(16, 12, (2, 3), **SIZES)
    return decoder, (PREFIX, patches, visible, VISIBLE[::-1, None].copy())


def fill_grid(patches, visible):
    decoder = decoders.ConvolutionalPredictor(16, (2, 3), num_layers=1)
    return decoder, (patches, visible)


@pytest.mark.parametrize("make", [decode_pixels, predict_blocks, fill_grid])
@pytest.mark.parametrize(
    ("visible", "message"),
    [
        (VISIBLE[:, :2], r"an index for each.*\(2, 2\).*\(2, 3, 16\)"),
        (np.tile(VISIBLE, 2), r"an index for each.*\(2, 6\)"),
        (VISIBLE[:1], r"an index for each.*\(1, 3\)"),
        (VISIBLE[0], r"an index for each.*\(3,\)"),
        (VISIBLE > 2, "must be integers.*bool"),
        (VISIBLE + 0.5, "must be integers.*float"),
    ],
)
def test_each_token_has_an_index(make, visible, message):
    decoder, arguments = make(PATCHES, visible)
    with pytest.raises(ValueError, match=message):
        decoder(*arguments)
    specs = [keras.KerasTensor(x.shape, x.dtype) for x in arguments]
    with pytest.raises(ValueError, match=message):
        decoder.compute_output_spec(*specs)
