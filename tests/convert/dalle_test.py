"""DALL-E's tokenizer, and its authors' numbers."""

import sys
import types

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


class Encoder(torch.nn.Module):
    """As DALL-E's package has it, as far as a file shows."""


class EncoderBlock(torch.nn.Module):
    pass


class Conv2d(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.use_float16, self.device = True, torch.device("cpu")
        self.w, self.b = (torch.nn.Parameter(weights[name]) for name in "wb")


def as_module(state, kind=torch.nn.Sequential):
    """Builds the network whose weights a dictionary has."""
    if set(state) == {"w", "b"}:
        return Conv2d(state)
    module = kind()
    for name in dict.fromkeys(key.partition(".")[0] for key in state):
        prefix = f"{name}."
        inner = {
            key.removeprefix(prefix): value
            for key, value in state.items()
            if key.startswith(prefix)
        }
        block = EncoderBlock if name.startswith("block_") else None
        part = as_module(inner, block or torch.nn.Sequential)
        module.add_module(name, part)
    if kind is torch.nn.Sequential:
        module.add_module("relu", torch.nn.ReLU())
        module.add_module("pool", torch.nn.MaxPool2d(2))
    return module


def test_the_published_file_holds_the_network_itself(
    tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "dall_e", types.ModuleType("dall_e"))
    for part, name in (
        (Encoder, "encoder"),
        (EncoderBlock, "encoder"),
        (Conv2d, "utils"),
    ):
        monkeypatch.setattr(part, "__module__", f"dall_e.{name}")
        module = sys.modules.get(f"dall_e.{name}")
        module = module or types.ModuleType(f"dall_e.{name}")
        setattr(module, part.__name__, part)
        monkeypatch.setitem(sys.modules, f"dall_e.{name}", module)
    path = tmp_path / "encoder.pkl"
    torch.save(as_module(alone(), Encoder), path)
    # Whoever reads it has no package of theirs.
    monkeypatch.undo()
    other = make_tokenizer()
    load_torch_weights(other, path)
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
