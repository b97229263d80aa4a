"""Files that are damaged, hostile or no checkpoints: one error, in time."""

import argparse
import io
import pathlib
import random
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from conftest import REFERENCE
from helpers import to_numpy

from keras_capi.convert import load_torch_checkpoint

CHECKPOINT = REFERENCE / "capi_reference.pth"
NORM = "encoder.blocks.{}.residual1.norm.weight"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.pth"


@pytest.fixture
def state():
    return {
        key.removeprefix("backbone."): value
        for key, value in torch.load(CHECKPOINT, weights_only=True).items()
    }


def refused(path, match):
    with pytest.raises(ValueError, match=match) as error:
        load_torch_checkpoint(path)
    assert str(path) in str(error.value)


def test_flipped_bits_never_change_weights(path, reference_backbone):
    expected = [to_numpy(weight) for weight in reference_backbone.weights]
    whole = CHECKPOINT.read_bytes()
    generator = random.Random(0)
    # Within the tensors, in the tables before and behind them, and anywhere.
    places = [len(whole) // 2, 100, len(whole) - 100, len(whole) - 3000] + [
        generator.randrange(len(whole)) for _ in range(20)
    ]
    refusals = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        try:
            backbone = load_torch_checkpoint(path)
        except ValueError as error:
            assert str(path) in str(error)
            refusals += 1
            continue
        # Such as a bit of the space between two tensors.
        for weight, value in zip(backbone.weights, expected, strict=True):
            np.testing.assert_array_equal(to_numpy(weight), value)
    assert refusals > len(places) / 2


def archive_of(**records):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in records.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def tar_of_text():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(REFERENCE / "README.md")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"weights, but as text\n" * 100,
        CHECKPOINT.read_bytes()[:-1],
        CHECKPOINT.read_bytes()[:-700],
        tar_of_text(),
        tar_of_text()[:1000],
        archive_of(),
        archive_of(version=b"3\n"),
        archive_of(**{"data.pkl": b"\x80\x02K\x01", "version": b"3\n"}),
    ],
)
def test_other_contents(content, path):
    path.write_bytes(content)
    refused(path, "cannot be read")


def test_files_without_checksums(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)
    refused(path, "write it again with `torch.save`")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    refused(path, "not written by `torch.save`")


def test_other_objects(path):
    # A few bytes that ask for 100 GB.
    pickled = b"c__builtin__\nbytearray\n(I100000000000\ntR."
    path.write_bytes(archive_of(**{"data.pkl": pickled, "version": b"3\n"}))
    refused(path, "bytearray")
    torch.save(torch.nn.Linear(2, 2), path)
    refused(path, "torch.nn.modules.linear Linear")


def test_other_contents_than_tensors(state, path):
    for content in (3, None, [state], tuple(state.values())):
        torch.save(content, path)
        refused(path, "dictionary of tensors")
    torch.save({**state, "accuracy": 3}, path)
    refused(path, "accuracy")


def test_dictionaries_within_dictionaries(path):
    content = torch.ones(1)
    for _ in range(40):
        content = {"a": content, "b": content}
    torch.save(content, path)
    refused(path, "nested")
    content = torch.ones(1)
    for _ in range(7):
        content = {str(i): content for i in range(12)}
    torch.save(content, path)
    refused(path, "entries")
    content = {}
    content["self"] = content
    torch.save(content, path)
    refused(path, "nested")


@pytest.mark.parametrize(
    "number, match",
    [
        (5_000_000, "without a gap.*5000000.*3"),
        (4, r"'4'.*without \['3'\]"),
        ("9" * 5000, "without a gap"),
        ("03", "without a gap"),
    ],
)
def test_numbers_of_blocks(number, match, state, path):
    state[NORM.format(number)] = torch.ones(48)
    torch.save(state, path)
    refused(path, match)


def test_a_block_too_many_is_incomplete(state, path):
    state[NORM.format(3)] = torch.ones(48)
    torch.save(state, path)
    refused(path, r"Missing: \['encoder.blocks.3.*fc2.weight'")


def test_a_block_left_out(state, path):
    # Fewer blocks, but of the predictor, whose number nothing else says.
    kept = {k: v for k, v in state.items() if "decoder.blocks.0" not in k}
    torch.save(kept, path)
    refused(path, "decoder.blocks.0")


@pytest.mark.parametrize(
    "key, shape",
    [
        ("patch_embed.weight", (100_000, 3, 4, 4)),
        ("registers", (1, 10**9, 48)),
        ("encoder.blocks.1.residual2.fn.fc1.weight", (10**9, 48)),
    ],
)
def test_tensors_expanded_from_one_number(key, shape, state, path):
    state[key] = torch.ones(1).expand(shape)
    torch.save(state, path)
    refused(path, f"every number in the file.*{key}")


def test_tensors_that_share_numbers(state, path):
    numbers = torch.ones(100_000)
    for index in range(6):
        state[NORM.format(index)] = numbers
    torch.save(state, path)
    refused(path, "share numbers")


def test_an_architecture_that_the_file_cannot_hold(state, path):
    # Some megabytes that describe kernels of terabytes.
    state["patch_embed.weight"] = torch.ones(200_000, 3, 1, 1)
    torch.save(state, path)
    refused(path, "describes an architecture of more than")


@pytest.mark.parametrize(
    "key, shape",
    [
        ("patch_embed.weight", (48,)),
        ("mask_token", ()),
        ("registers", (48,)),
        ("registers", (2, 8, 48)),
        ("decoder.blocks.0.residual1.fn.rope.freqs", (2, 0)),
        ("encoder.blocks.0.residual2.fn.fc1.weight", (192, 48, 1)),
    ],
)
def test_other_ranks(key, shape, state, path):
    state[key] = torch.ones(shape)
    torch.save(state, path)
    refused(path, key)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(value, state, path):
    key = "decoder.blocks.1.residual2.fn.fc2.weight"
    state[key][7, 11] = value
    torch.save(state, path)
    refused(path, f"must be finite.*{key}")


def test_values_that_single_precision_does_not_hold(state, path):
    state["mask_token"] = torch.full((1, 48), 1e300, dtype=torch.float64)
    torch.save(state, path)
    refused(path, "must be finite.*mask_token")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones((1, 48), dtype=torch.int64),
        torch.ones((1, 48), dtype=torch.complex64),
        torch.ones((1, 48), device="meta"),
        torch.ones((1, 48)).to_sparse(),
    ],
)
def test_other_kinds_of_tensors(tensor, state, path):
    state["mask_token"] = tensor
    torch.save(state, path)
    with pytest.raises(ValueError, match=str(path)):
        load_torch_checkpoint(path)


def test_two_tensors_for_one_weight(state, path):
    state["module.patch_embed.bias"] = torch.ones(48)
    torch.save(state, path)
    refused(path, "two tensors for 'patch_embed.bias'")
    state["backbone.mask_token"] = torch.ones(1, 48)
    del state["module.patch_embed.bias"]
    torch.save(state, path)
    refused(path, "two tensors for 'mask_token'")


def test_other_precisions_and_parameters(state, path):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        stored = {k: torch.nn.Parameter(v.to(dtype)) for k, v in state.items()}
        torch.save(stored, path)
        backbone = load_torch_checkpoint(path)
        np.testing.assert_array_equal(
            to_numpy(backbone.predictor.mask_token),
            stored["mask_token"].detach().float().numpy()[0],
        )


def test_overrides_that_do_not_fit(path):
    with pytest.raises(ValueError, match=f"{CHECKPOINT}.*num_heads"):
        load_torch_checkpoint(CHECKPOINT, num_heads=7)


def test_the_home_folder(path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    path.write_bytes(CHECKPOINT.read_bytes())
    assert load_torch_checkpoint("~/checkpoint.pth").encoder.num_layers == 3


class Malicious:
    def __reduce__(self):
        return (print, ("code in the file was run",))


def test_what_stands_beside_the_tensors(state, path, capsys):
    settings = argparse.Namespace(lr=np.float64(1e-3), seed=np.arange(3))
    settings.output = pathlib.PurePosixPath("runs")
    torch.save({"model": state, "optimizer": [settings]}, path)
    assert load_torch_checkpoint(path).encoder.num_layers == 3
    # Not where tensors should be.
    torch.save({**state, "settings": settings}, path)
    refused(path, r"other entries: \['settings'\]")
    settings.hook = Malicious()
    torch.save({"model": state, "optimizer": settings}, path)
    refused(path, "other objects than tensors.*print")
    assert "was run" not in capsys.readouterr().out
