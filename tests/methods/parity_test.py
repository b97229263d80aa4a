"""The numbers of the authors' implementations, on the active backend."""

import numpy as np
import pytest
from backend_helpers import on_one_backend

from benchmarks import parity
from benchmarks.replay.comparison import Replay
from benchmarks.replay.comparison import compare
from benchmarks.replay.files import read_file

# How many arrays of each group the tests' files hold.
COMPARED = {
    "aim": {
        "forward": 14,
        "gradients": 52,
        "losses": 3,
        "schedules": 1,
        "final": 30,
    },
    "beit": {
        "forward": 5,
        "gradients": 22,
        "losses": 4,
        "schedules": 2,
        "final": 20,
        "masks": 2,
    },
    "capi": {
        "forward": 14,
        "gradients": 53,
        "losses": 3,
        "schedules": 3,
        "final": 104,
        "masks": 1,
    },
    "colorization": {
        "forward": 16,
        "gradients": 12,
        "losses": 3,
        "schedules": 1,
        "final": 13,
    },
    "context_encoder": {
        "forward": 8,
        "gradients": 18,
        "losses": 7,
        "schedules": 2,
        "final": 18,
        "masks": 2,
    },
    "beit_tokenizer": {"forward": 6, "gradients": 24, "losses": 2},
    "igpt": {
        "forward": 14,
        "gradients": 43,
        "losses": 6,
        "schedules": 1,
        "final": 43,
    },
    "ijepa": {
        "forward": 8,
        "gradients": 33,
        "losses": 2,
        "schedules": 3,
        "final": 46,
        "masks": 4,
    },
    "data2vec": {
        "forward": 3,
        "gradients": 23,
        "losses": 3,
        "schedules": 3,
        "final": 40,
        "masks": 2,
    },
    "data2vec2": {
        "forward": 7,
        "gradients": 31,
        "losses": 4,
        "schedules": 2,
        "final": 41,
        "masks": 2,
    },
    "mae": {
        "forward": 26,
        "gradients": 144,
        "losses": 5,
        "schedules": 1,
        "final": 72,
        "masks": 5,
    },
    "deepcluster": {
        "forward": 11,
        "gradients": 4,
        "losses": 1,
        "final": 4,
        "masks": 2,
    },
    "deepclusterv2": {
        "forward": 22,
        "gradients": 12,
        "losses": 3,
        "schedules": 1,
        "final": 21,
    },
    "denoising_autoencoder": {
        "forward": 5,
        "gradients": 9,
        "losses": 7,
        "schedules": 1,
        "final": 9,
    },
    "dino": {
        "forward": 23,
        "gradients": 39,
        "losses": 4,
        "schedules": 7,
        "final": 80,
    },
    "dinov2": {
        "forward": 13,
        "gradients": 20,
        "losses": 10,
        "schedules": 9,
        "masks": 3,
    },
    "ibot": {
        "forward": 9,
        "gradients": 15,
        "losses": 4,
        "schedules": 5,
        "final": 35,
        "masks": 3,
    },
    "relative_position": {
        "forward": 14,
        "gradients": 19,
        "losses": 3,
        "schedules": 1,
        "final": 20,
    },
    "rotation": {
        "forward": 6,
        "gradients": 21,
        "losses": 3,
        "schedules": 1,
        "final": 23,
    },
    "simclr": {
        "forward": 15,
        "gradients": 9,
        "losses": 3,
        "schedules": 3,
        "final": 15,
    },
    "swav": {
        "forward": 15,
        "gradients": 20,
        "losses": 6,
        "schedules": 3,
        "final": 15,
    },
    "simmim": {
        "forward": 10,
        "gradients": 25,
        "losses": 2,
        "schedules": 1,
        "final": 24,
        "masks": 2,
    },
}


def stored(method):
    return read_file(parity.stored_arrays(method))


@pytest.fixture(scope="module", params=COMPARED)
def replayed(request):
    """A method's name, the authors' arrays and what ours makes of them."""
    arrays, description = stored(request.param)
    replay = parity.METHODS[request.param].replay(arrays, description)
    shapes = {name: values.shape for name, values in arrays.items()}
    return request.param, arrays, replay, description.get("shapes", shapes)


def test_same_numbers(replayed):
    method, arrays, replay, shapes = replayed
    report = compare(arrays, replay, shapes)
    for line in report.lines:
        assert line["largest"] <= line["tolerance"], line
    assert report.problems == []
    compared = {line["group"]: line["compared"] for line in report.lines}
    assert compared == COMPARED[method]


once = on_one_backend("How a file is read does not depend on the backend.")


def tampered(values):
    """Yields an array with one kind of harm after the other."""
    if values.dtype.kind == "f":
        off = values.copy()
        # Errors are relative to the largest value.
        off.reshape(-1)[0] += max(1e-2, 1e-4 * np.abs(values).max())
        yield "one number", off
        yield "not a number", values * np.nan
        if values.any():
            yield "sign", -values
    elif values.dtype.kind in "biu":
        place = min(1, values.size - 1)
        # Of packed masks, this changes one bit.
        place = min(1, values.size - 1)
        yield (
            "one number",
            values ^ (np.arange(values.size) == place).reshape(values.shape),
        )
    else:
        yield "one name", np.where(values == values.reshape(-1)[0], "", values)
    if values.ndim and values.shape[0] > 1:
        yield "one row less", values[1:]
        rows = values[::-1]
        if not np.array_equal(rows, values):
            yield "order", rows
    yield "shape", values[None]


@once
def test_every_result_is_watched(replayed):
    method, arrays, replay, shapes = replayed
    names = {name for part in replay.results.values() for name in part}
    assert names | set(replay.inputs) == set(arrays)
    for group, results in replay.results.items():
        for name, values in results.items():
            one = Replay({group: {name: values}}, noise=replay.noise)
            one.fixed = replay.fixed
            shape = {name: shapes[name]}
            assert compare({name: arrays[name]}, one, shape).passed
            for harm, other in tampered(arrays[name]):
                if harm == "order" and callable(values):
                    # A sample is the same in any order.
                    continue
                if harm == "one number" and (method, group) in VARIED:
                    continue
                report = compare({name: other}, one, shape)
                assert not report.passed, (name, harm)
            assert not compare({}, one, shape).passed


# Samples of what differs in size: one patch or image more or less is no harm.
VARIED = {
    ("beit", "masks"),
    ("context_encoder", "masks"),
    ("deepcluster", "masks"),
    ("dinov2", "masks"),
    ("ibot", "masks"),
}

# What shows in the forward pass, and what in the training alone.
INPUTS = {
    "capi": [
        "weights/backbone.encoder.blocks.1.residual1.norm.weight",
        "train/images",
    ],
    "aim": [
        "weights/head.norm.bias",
        "prefix_length",
        "trunk/weights/head.bias",
        "train/prefix_length",
    ],
    "beit": ["weights/lm_head.bias", "mask", "train/token_ids"],
    "colorization": ["weights/head.bias", "images", "prior", "train/images"],
    "context_encoder": [
        "weights/netG.head.weight",
        "weights/netD.norms.0.weight",
        "train/images",
    ],
    "beit_tokenizer": ["dalle/images", "straight_through/exponential_noise"],
    "data2vec": [
        "weights/teacher.blocks.1.norm2.weight",
        "mask",
        "train/images",
    ],
    "data2vec2": [
        "weights/teacher.blocks.1.norm2.weight",
        "mask",
        "noise",
        "train/noise",
    ],
    "igpt": [
        "weights/model/sos",
        "tokens",
        "bert_uniform",
        "labels",
        "palette/pixels",
        "train/bert_uniform",
    ],
    "ijepa": [
        "weights/target_encoder.norm.weight",
        "masks_pred",
        "train/images",
    ],
    "mae": ["weights/blocks.1.norm1.weight", "noise", "train/noise"],
    "deepcluster": [
        "features",
        "kmeans/centroids_after_0",
        "weights/top_layer.bias",
        "train/indices",
    ],
    "deepclusterv2": [
        "weights/trunk.hidden.bias",
        "memory/indices",
        "cluster/start_indices",
        "train/epoch_1/views_0",
    ],
    "denoising_autoencoder": [
        "weights/head.weight",
        "noise/patch_uniform",
        "train/images",
        "classic/train/uniform",
    ],
    "dino": [
        "weights/teacher.head.mlp.2.bias",
        "weights/center",
        "train/local_views",
    ],
    "dinov2": [
        "weights/teacher.ibot_head.mlp.2.bias",
        "weights/ibot_center",
        "collated_masks",
    ],
    "ibot": [
        "weights/teacher.head.mlp.2.bias",
        "weights/center2",
        "masks",
        "train/local_images",
    ],
    "relative_position": [
        "weights/head.fc9.bias",
        "labels",
        "preparation/small_side",
        "train/1/input",
    ],
    "rotation": ["weights/head.bias", "images", "train/images"],
    "simclr": [
        "weights/projection_head/nl_0/dense/kernel",
        "views",
        "train/views",
    ],
    "simmim": ["weights/encoder.mask_token", "mask", "train/images"],
    "swav": [
        "weights/projection_head.1.running_mean",
        "queue",
        "views_1",
        "train/views_0",
    ],
}


@once
@pytest.mark.parametrize(
    ("method", "name"),
    [(method, name) for method, names in INPUTS.items() for name in names],
)
def test_other_inputs_are_noticed(method, name):
    arrays, description = stored(method)
    # No input goes into the masks of the samplers, of which many are drawn.
    for drawn in description.pop("masks", ()):
        del arrays[drawn]
    arrays[name] = arrays[name].copy()
    if name.startswith("weights/"):
        arrays[name].reshape(-1)[0] += 1e-2
    else:
        arrays[name] = arrays[name][::-1]
    replay = parity.METHODS[method].replay(arrays, description)
    assert not compare(arrays, replay).passed
