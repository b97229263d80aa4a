"""What makes a training step on torch wait for the GPU, found without one.

A value that is read on the host waits for all that was launched before. So does
a Python or NumPy value that Keras copies to the GPU. In a training step numbers
are made there, and arrays copied without waiting.

The processor plays the GPU under another of its names. What is computed on the
host has its usual name.
"""

import collections
import traceback

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_dino
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import weights_of
from methods.cases import CASES

import keras_capi
from keras_capi.backend import host
from keras_capi.backend import made_numbers

if keras.backend.backend() != "torch":
    pytest.skip("torch alone runs op by op", allow_module_level=True)

import torch
from keras.src.backend.torch.core import get_device
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = "cpu:0"
READS = {
    "_local_scalar_dense",
    "_unique2",
    "allclose",
    "equal",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
COPIES = {"as_tensor", "asarray", "from_numpy", "tensor"}

# The parts of Keras that only carry out what others ask for.
TOOLS = (
    "keras/src/backend/common/variables.py",
    "keras/src/backend/torch/core.py",
    "keras/src/backend/torch/numpy.py",
    "keras/src/backend/torch/nn.py",
    "keras/src/ops/",
    "keras/src/tree/",
    "keras/src/utils/",
)

# Keras's own: the seed of each draw, which is on the host (`host_test.py`). And
# torch checks classes, but those on a GPU there.
KERAS_READS = {"keras/src/backend/torch/random.py", "one_hot"}
# Keras moves the optimizer's counter on by a Python 1, and weights the mean of
# the losses by the size of the batch.
KERAS_COPIES = {
    "keras/src/metrics/reduction_metrics.py",
    "keras/src/optimizers/base_optimizer.py",
}
# Conditions of Keras's optimizers, whose outcome Python must know.
KERAS_CONDITIONS = {
    "accumulation": {"keras/src/optimizers/base_optimizer.py"},
    "clipping": set(),
    "loss scaling": {"keras/src/optimizers/loss_scale_optimizer.py"},
}


def _asker():
    """The file that asks for what happens now, without Keras's tools."""
    for frame in reversed(traceback.extract_stack()):
        if frame.name == "one_hot":
            return "one_hot"
        for package in ("keras_capi/", "keras/src/"):
            if package in frame.filename:
                name = package + frame.filename.split(package)[-1]
                if not name.startswith(TOOLS):
                    return name
    return "elsewhere"


class _Reads(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.found = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            torch.is_tensor(x) and x.dtype == torch.bool
            for argument in args[1:2]
            if isinstance(argument, list | tuple)
            for x in argument
        )
        if (name in READS or by_mask) and get_device() == DEVICE:
            self.found[_asker()] += 1
        return func(*args, **(kwargs or {}))


class _Copies(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.found = collections.Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        is_copied = getattr(func, "__name__", "") in COPIES
        if is_copied and kwargs.get("device") == DEVICE:
            self.found[_asker()] += 1
        return func(*args, **kwargs)


def _find(model, inputs):
    """What a training step reads, and what it copies, by who asked."""
    data = (inputs,)
    # The first makes what is made once.
    model.train_step(data)
    with keras.device(DEVICE), _Reads() as reads, _Copies() as copies:
        model.train_step(data)
    return reads.found, copies.found


@pytest.fixture(autouse=True)
def _on_the_processor():
    """Models, too, and where there is a GPU."""
    with keras.device("cpu"):
        yield


@pytest.fixture
def accelerator(monkeypatch):
    """What a step does on an accelerator, done on the processor."""
    monkeypatch.setattr(made_numbers, "has_accelerator", lambda: True)


def make_capi(**arguments):
    backbone = make_backbone(drop_path_rate=0.2, num_layers=2)
    return make_model(backbone, **arguments)


MODELS = {"capi": make_capi, "mae": make_mae, "dino": make_dino}


def test_the_modes_see_reads_and_copies():
    x = torch.ones(3)
    for read in (
        lambda: bool(x[0]),
        lambda: float(x[0]),
        lambda: x[x > 0],
        lambda: torch.nonzero(x),
        lambda: keras.ops.cond(x[0] > 0, lambda: x, lambda: x),
    ):
        with keras.device(DEVICE), _Reads() as reads:
            read()
        assert reads.found.total() == 1
    for copy in (
        lambda: keras.ops.maximum(x, 1.0),
        lambda: keras.ops.convert_to_tensor(np.ones(3)),
        lambda: torch.tensor(1.0, device=DEVICE),
    ):
        with keras.device(DEVICE), _Copies() as copies:
            copy()
        assert copies.found.total() == 1
    with keras.device(DEVICE), _Reads() as reads, _Copies() as copies:
        keras.ops.maximum(x, keras.ops.zeros((), x.dtype) + 1.0) * 2.0
    assert not reads.found and not copies.found


@pytest.mark.parametrize("name", CASES)
def test_a_step_waits_for_nothing(name, accelerator):
    reads, copies = _find(CASES[name].compiled(), CASES[name].own_inputs(4))
    assert set(reads) <= KERAS_READS
    assert not copies


def test_which_copies_keras_makes():
    """Those of ours are in each method's own operations."""
    _, copies = _find(make_mae(), {"images": torch.tensor(make_images())})
    of_keras = {name for name in copies if name.startswith("keras/src/")}
    assert of_keras == KERAS_COPIES


@pytest.mark.parametrize("kind", KERAS_CONDITIONS)
def test_what_an_optimizer_adds(kind):
    steps = 2 if kind == "accumulation" else None
    optimizer = keras_capi.optimizers.capi_optimizer(
        total_steps=10, gradient_accumulation_steps=steps
    )
    if kind == "loss scaling":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    if kind == "clipping":
        optimizer.clip_norm = 1.0
    model = make_capi(compile_arguments={"optimizer": optimizer})
    reads, _ = _find(model, {"images": make_images()})
    assert set(reads) - KERAS_READS == KERAS_CONDITIONS[kind]


def _train(name, steps=2):
    keras.utils.set_random_seed(0)
    model, size = MODELS[name](), 24 if name == "dino" else 16
    data = ({"images": make_images(4, size, size)},)
    with keras.device(DEVICE), _Copies() as copies:
        losses = [float(model.train_step(data)["loss"]) for _ in range(steps)]
    return losses, weights_of(model), copies.found.total()


@pytest.mark.parametrize("name", MODELS)
def test_a_step_makes_numbers_on_the_device(name, request):
    expected, expected_weights, copied = _train(name)
    assert copied > 10
    request.getfixturevalue("accelerator")
    losses, weights, copied = _train(name)
    assert copied == 0
    assert losses == expected
    for made, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(made, other)


@pytest.mark.parametrize("number", [True, 7, 2**40, 0.1, -float("inf")])
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.int64])
def test_made_numbers_are_those_that_are_copied(number, dtype, accelerator):
    if dtype == torch.int64 and isinstance(number, float):
        number = 3.7
    expected = torch.as_tensor(number, dtype=dtype)
    with made_numbers.numbers_made_on_device():
        made = torch.as_tensor(number, dtype=dtype)
    assert made.dtype == expected.dtype and torch.equal(made, expected)


@pytest.mark.parametrize("number", [1e39, -1e300, 10**39])
def test_numbers_too_large_for_their_dtype_are_infinite(number, accelerator):
    with made_numbers.numbers_made_on_device():
        made = torch.as_tensor(number, dtype=torch.float32)
        with pytest.raises(ValueError):
            torch.as_tensor(10**39, dtype=torch.int64)
    assert torch.isinf(made)


@pytest.mark.parametrize("number", [np.float64(0.1), np.int16(7), np.bool_(1)])
def test_numbers_of_numpy_keep_their_dtypes(number, accelerator):
    expected = torch.as_tensor(number)
    with made_numbers.numbers_made_on_device():
        made = torch.as_tensor(number)
    assert made.dtype == expected.dtype and torch.equal(made, expected)


class _Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (self.images[2 * index : 2 * index + 2],)


# Who copies a batch: what iterates over data, or the call of the model.
COPY_BATCHES = ("keras/src/trainers/data_adapters", "keras/src/dtype_policies")
CALLS = {
    "fit": lambda model, x: model.fit(x, batch_size=2, verbose=0),
    "fit, data set": lambda model, x: model.fit(_Batches(x), verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, batch_size=2, verbose=0),
    "predict": lambda model, x: model.predict(x, batch_size=2, verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x),
}


def _call(name):
    keras.utils.set_random_seed(0)
    model = make_mae()
    with keras.device(DEVICE), _Copies() as copies:
        results = CALLS[name](model, make_images())
    results = getattr(results, "history", results)
    return keras.tree.flatten(results), weights_of(model), copies.found


@pytest.mark.parametrize("name", CALLS)
def test_batches_are_copied_without_waiting(name, request):
    """Keras copies them before the step."""
    expected, expected_weights, copies = _call(name)
    assert any(asker.startswith(COPY_BATCHES) for asker in copies)
    request.getfixturevalue("accelerator")
    results, weights, copies = _call(name)
    assert not copies
    for made, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(made, other)
    for made, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(made, other)


def test_callbacks_find_numbers_made_on_the_device(accelerator):
    """And models that they train and use leave it so."""
    found, other = [], make_mae()

    class Uses(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            other.fit(make_images(), verbose=0)
            other.predict(make_images(), verbose=0)
            found.append(hasattr(torch.as_tensor, "makes_numbers"))

    as_tensor = torch.as_tensor
    make_mae().fit(make_images(), epochs=2, verbose=0, callbacks=[Uses()])
    assert found == [True, True]
    assert torch.as_tensor is as_tensor


def test_a_batch_that_fails_leaves_torch_as_it_was(accelerator):
    as_tensor = torch.as_tensor
    with pytest.raises(ValueError, match="divisible"):
        make_mae().predict(make_images(1, 15, 16), verbose=0)
    assert torch.as_tensor is as_tensor


class _HostTensor:
    """Notes how it is copied, as there may be no GPU."""

    device = torch.device("cpu")

    def __init__(self, nbytes):
        self.nbytes, self.calls = nbytes, []

    def pin_memory(self):
        self.calls.append("pin")
        return self

    def to(self, device, non_blocking=False):
        self.calls.append((device, non_blocking))


@pytest.mark.parametrize(
    "device, nbytes, expected",
    [
        ("cuda", 2**16, [("cuda", True)]),
        ("cuda:1", 2**16 + 1, ["pin", ("cuda:1", True)]),
        ("mps", 2**20, [("mps", False)]),
    ],
)
def test_how_a_tensor_is_copied(device, nbytes, expected):
    x = _HostTensor(nbytes)
    host.sent_to_device(x, device)
    assert x.calls == expected


def test_as_tensor_is_torchs_again(accelerator):
    as_tensor = torch.as_tensor
    array = np.arange(3)
    with pytest.raises(KeyError), made_numbers.numbers_made_on_device():
        # An array is no number, and shares its memory.
        array_tensor = torch.as_tensor(array)
        with made_numbers.numbers_made_on_device():
            assert torch.as_tensor is not as_tensor
        assert torch.as_tensor is not as_tensor
        raise KeyError
    array[0] = 5
    assert array_tensor[0] == 5
    assert torch.as_tensor is as_tensor


def test_a_processor_copies_nothing(monkeypatch):
    monkeypatch.setattr(made_numbers, "has_accelerator", lambda: False)
    as_tensor = torch.as_tensor
    with made_numbers.numbers_made_on_device():
        assert torch.as_tensor is as_tensor
