"""DALL-E's tokenizer, and its authors' numbers."""

import numpy as np
import pytest
import torch
from convert.method_files import saved
from convert.method_files import under
from helpers import make_vit
from helpers import method_arrays
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint
from keras_capi.convert import load_torch_weights
from keras_capi.methods import BEiT
from keras_capi.tokenizers import DALLETokenizer

PREFIX = "dalle/weights/encoder."


def make_tokenizer(**arguments):
    # The images of the arrays are in [0, 1].
    plain = {"mean": (0.0,) * 3, "standard_deviation": (1.0,) * 3}
    return DALLETokenizer(64, hidden_dim=8, **plain, **arguments)


def alone():
    return under("beit_tokenizer", PREFIX)


def with_decoder():
    return {
        **{f"encoder.{name}": value for name, value in alone().items()},
        "decoder.blocks.input.w": torch.ones(8, 64, 1, 1),
    }


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    tokenizer = make_tokenizer()
    path = saved(tmp_path_factory.mktemp("file"), alone())
    load_torch_weights(tokenizer, path)
    return tokenizer


def images():
    return np.moveaxis(method_arrays("beit_tokenizer")["dalle/images"], 1, -1)


def assert_close(value, name):
    expected = method_arrays("beit_tokenizer")[f"dalle/{name}"]
    value = np.moveaxis(to_numpy(value), -1, 1)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        value / scale, expected / scale, rtol=0, atol=2e-5
    )


def test_same_numbers(tokenizer):
    assert_close(tokenizer(images()), "logits")
    words = to_numpy(tokenizer.tokenize(images(), (4, 4)))
    expected = method_arrays("beit_tokenizer")["dalle/tokens"]
    np.testing.assert_array_equal(words, expected.reshape(2, 16))


def test_other_files(tokenizer, tmp_path):
    other = make_tokenizer()
    load_torch_weights(other, saved(tmp_path, with_decoder()))
    for weight, same in zip(other.weights, tokenizer.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), to_numpy(same))


def test_what_does_not_fit(tokenizer, tmp_path):
    content = alone()
    del content["blocks.group_2.block_1.id_path.w"]
    content["blocks.group_5.block_1.id_path.w"] = torch.ones(1)
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=rf"{path}.*group_2.*group_5"):
        load_torch_weights(tokenizer, path)
    with pytest.raises(ValueError, match="must hold an encoder.*DALL-E"):
        load_torch_checkpoint(path)


def test_other_models(tmp_path):
    path = saved(tmp_path, alone())
    with pytest.raises(ValueError, match="must be a `DALLETokenizer`.*BEiT"):
        load_torch_weights(BEiT(make_vit(), make_tokenizer()), path)
