"""Recorded blocks compute what they compute otherwise, also twice a step."""

import functools
import gc
import warnings
import weakref

import keras
import numpy as np
import pytest
from backend.compiled_training import COMPILER_WARNINGS
from backend.compiled_training import DEEP
from backend.compiled_training import assert_close
from backend.compiled_training import compile_tiny_models
from backend.compiled_training import randn
from backend.compiled_training import train
from backend.compiled_training import train_eagerly
from helpers import make_dino
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import make_vit
from methods.cases import CASES

from keras_capi.backend import block_compiler
from keras_capi.backend import recordings

if keras.backend.backend() != "torch":
    pytest.skip("torch alone records blocks", allow_module_level=True)

import torch

pytestmark = COMPILER_WARNINGS
COMPILE = torch.compile
COORDINATES = keras.ops.convert_to_tensor(
    np.random.default_rng(0).random((1, 5, 2)), "float32"
)


class Recording:
    """A CUDA graph without CUDA: each replay uses the same memory.

    Like `torch.cuda.make_graphed_callables`, it keeps one set of activations,
    so a backward pass goes wrong after the replay of another call.
    """

    made: list = []

    def __init__(self, function, arguments, allow_unused_input, pool):
        self.function, self.arguments = function, arguments
        self.num_replays = 0
        self.made.append(self)
        self.pool = pool
        # As torch does: its trial runs are on another stream.
        warnings.warn("The AccumulateGrad node's stream does", stacklevel=2)
        with torch.enable_grad():
            self.output = function(*arguments)
        self.static = self.output.detach().clone()
        self.static_gradients = None

    def replay(self, arguments):
        self.num_replays += 1
        with torch.no_grad():
            for own, given in zip(self.arguments, arguments, strict=True):
                if own.data_ptr() != given.data_ptr():
                    own.copy_(given)
        with torch.enable_grad():
            self.output = self.function(*self.arguments)
        self.static.copy_(self.output.detach())
        return self.static.detach()

    def gradients(self, gradient):
        needed = [x for x in self.arguments if x.requires_grad]
        found = torch.autograd.grad(
            self.output, needed, gradient, allow_unused=True
        )
        if self.static_gradients is None:
            self.static_gradients = [
                x if x is None else x.clone() for x in found
            ]
        for static, x in zip(self.static_gradients, found, strict=True):
            if x is not None:
                static.copy_(x)
        statics = iter(self.static_gradients)
        every = [
            next(statics) if x.requires_grad else None for x in self.arguments
        ]
        return [x if x is None else x.detach() for x in every]

    def __call__(self, *arguments):
        recording = self

        class Replay(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *arguments):
                return recording.replay(arguments)

            @staticmethod
            def backward(ctx, gradient):
                return tuple(recording.gradients(gradient))

        return Replay.apply(*arguments)


@pytest.fixture
def records(monkeypatch):
    """Records the blocks of tiny models on the processor, uncompiled."""
    compile_tiny_models(monkeypatch)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(
        recordings,
        "_can_record",
        lambda tensors: not getattr(recordings._here, "is_off", False),
    )
    monkeypatch.setattr(recordings, "_has_room", lambda: True)
    monkeypatch.setattr(Recording, "made", [])
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", Recording)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    return Recording.made


LONGER = [make_images(seed=seed) for seed in range(6)]
BATCHES = LONGER[:4]
# It has no transformer blocks.
WITHOUT_BLOCKS = {"discrete_vae"}


@pytest.mark.parametrize("name", CASES)
def test_methods(name, records, monkeypatch):
    """Each call of a step is recorded in the second, and then replayed."""

    def make():
        model = CASES[name].compiled()
        inputs = [CASES[name].own_inputs(4, seed) for seed in range(4)]
        train_on_batch = model.train_on_batch
        model.train_on_batch = lambda _: train_on_batch(inputs.pop())
        return model

    expected = train_eagerly(monkeypatch, make, *BATCHES)
    assert not records
    assert_close(train(make, *BATCHES), expected)
    assert bool(records) == (name not in WITHOUT_BLOCKS)
    assert {recording.num_replays for recording in records} <= {3}


@pytest.mark.parametrize("make", [make_mae, make_dino], ids=["mae", "dino"])
def test_stochastic_depth(make, records, monkeypatch):
    """Which samples skip a branch is drawn outside of recordings."""

    def make_deep():
        return make(make_vit(**DEEP))

    expected = train_eagerly(monkeypatch, make_deep, *BATCHES)
    assert_close(train(make_deep, *BATCHES), expected)
    assert records


@pytest.mark.parametrize("accumulation", [None, 2])
def test_gradients_of_earlier_steps(accumulation, records, monkeypatch):
    """They are in memory that the next step overwrites."""

    def make():
        model = make_mae()
        optimizer = keras.optimizers.SGD(
            0.1, gradient_accumulation_steps=accumulation, momentum=0.9
        )
        model.compile(optimizer)
        return model

    expected = train_eagerly(monkeypatch, make, *LONGER)
    assert_close(train(make, *LONGER), expected)
    assert records


def make_call():
    """Returns a model, and a function that runs a block of it in a step."""
    model = make_model()
    block = model.student.encoder.blocks[0]

    def call(*tokens):
        with block_compiler.compiled_blocks(model, 0):
            return [block(x, COORDINATES) for x in tokens]

    return model, call


def test_each_call_of_a_step_has_its_own(records):
    """Else the second would overwrite what the first left for gradients."""
    model, call = make_call()
    kernel = model.student.encoder.blocks[0].mlp_output.kernel.value
    tokens = randn(2, 2, 5, 16)
    block = model.student.encoder.blocks[0]

    def gradient():
        kernel.grad = None
        (block(tokens[0], COORDINATES) ** 2).sum().backward()
        (block(tokens[1], COORDINATES) ** 3).sum().backward()
        return kernel.grad.clone()

    def gradient_of_both():
        kernel.grad = None
        with block_compiler.compiled_blocks(model, 0):
            one, other = (block(x, COORDINATES) for x in tokens)
        ((one**2).sum() + (other**3).sum()).backward()
        return kernel.grad.clone()

    expected = gradient()
    for _ in range(3):
        torch.testing.assert_close(gradient_of_both(), expected)
    assert len(records) == 2


def test_only_what_comes_again_is_recorded(records):
    """Such as batches of another size, but not their rest in an epoch."""
    _, call = make_call()
    for count, num_recorded in ((4, 0), (3, 0), (4, 1), (4, 1), (3, 2)):
        call(randn(count, 5, 16))
        assert len(records) == num_recorded


def test_two_shapes_are_recorded(records):
    """More would fill the card where each step hides other patches."""
    _, call = make_call()
    for _ in range(3):
        for count in range(2, 8):
            call(randn(count, 5, 16))
    assert len(records) == 2
    assert {len(recording.static) for recording in records} == {2, 3}


def test_nothing_is_compiled_again(records, monkeypatch):
    """Recordings have leaves of their own; these look like the others."""
    compile = functools.partial(COMPILE, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", compile)
    torch.compiler.reset()
    _, call = make_call()
    tokens = randn(2, 5, 16).requires_grad_()
    stats = torch._dynamo.utils.counters["stats"]
    before = stats["unique_graphs"]
    for _ in range(3):
        call(tokens * 1.0)
    assert len(records) == 1
    assert stats["unique_graphs"] == before + 1


def test_frozen_weights(records, monkeypatch):
    """Freezing between steps is noticed, as gradients differ."""

    def make():
        model = make_mae(make_vit(**DEEP))
        train_on_batch = model.train_on_batch

        def frozen_later(images):
            if model.optimizer.iterations == 3:
                model.decoder.blocks[0].mlp_hidden.trainable = False
                model.compile(model.published_optimizer(100, batch_size=64))
            return train_on_batch(images)

        model.train_on_batch = frozen_later
        return model

    expected = train_eagerly(monkeypatch, make, *LONGER)
    assert_close(train(make, *LONGER), expected)
    assert records


def test_weights_that_moved(records):
    """New memory of a weight is read, too."""
    model, call = make_call()
    tokens = randn(2, 5, 16)
    (before,) = call(tokens)
    call(tokens)
    for variable in model.student.encoder.blocks[0].variables:
        variable._value.data = 2 * variable._value.data
    (found,) = call(tokens)
    block = model.student.encoder.blocks[0]
    torch.testing.assert_close(found, block(tokens, COORDINATES))
    assert not torch.allclose(found, before)


def test_inference_shares_memory(records):
    """Nothing of it is left for a backward pass."""
    model, call = make_call()
    for trainable in (False, True):
        for block in model.student.encoder.blocks:
            block.trainable = trainable
        for _ in range(2):
            call(randn(4, 5, 16), randn(2, 5, 16))
    one, other, *trained = (recording.pool for recording in records)
    assert one is other is not None
    assert trained == [None, None]


def test_rematerialization(records, monkeypatch):
    """It saves memory, which recordings would keep."""

    def make():
        with keras.RematScope(mode="full"):
            return make_mae(make_vit(**DEEP))

    expected = train_eagerly(monkeypatch, make, *BATCHES)
    assert_close(train(make, *BATCHES), expected)
    assert not records


def test_full_cards(records, monkeypatch):
    monkeypatch.setattr(recordings, "_has_room", lambda: False)
    train(make_model, *BATCHES)
    assert not records


def test_cards_have_room(monkeypatch):
    for free, has_room in ((30, False), (50, True)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda x=free: (x, 80))
        assert recordings._has_room() is has_room


def test_processors_record_nothing(records, monkeypatch):
    monkeypatch.undo()
    tensors = [torch.zeros(2), None]
    assert not recordings._can_record(tensors)


def test_failures(records, monkeypatch):
    """The training goes on, and says once why it is slower."""

    def fail(*_, **__):
        raise RuntimeError("no graphs")

    expected = train_eagerly(monkeypatch, make_model, *BATCHES)
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    with pytest.warns(UserWarning, match="CUDA graphs") as seen:
        found = train(make_model, *BATCHES)
    assert sum("no graphs" in str(w.message) for w in seen) == 1
    assert_close(found, expected)


def test_models_are_freed(records):
    model, call = make_call()
    for _ in range(2):
        call(randn(2, 5, 16))
    assert records
    model = weakref.ref(model)
    del call
    gc.collect()
    assert model() is None


def test_on_a_card(monkeypatch):
    """With torch's own recordings."""
    if not torch.cuda.is_available():
        pytest.skip("CUDA graphs need a GPU")
    compile_tiny_models(monkeypatch)
    replays = []
    replay = torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(
        torch.cuda.CUDAGraph,
        "replay",
        lambda graph: replays.append(1) or replay(graph),
    )
    expected = train_eagerly(monkeypatch, make_model, *BATCHES)
    found = train(make_model, *BATCHES)
    assert replays
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
