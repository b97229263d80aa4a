"""Blocks that torch compiles compute what they compute eagerly."""

import concurrent.futures
import functools
import gc
import weakref

import keras
import pytest
from backend.compiled_training import COMPILER_WARNINGS
from backend.compiled_training import DEEP
from backend.compiled_training import assert_close
from backend.compiled_training import compile_tiny_models
from backend.compiled_training import randn
from backend.compiled_training import train
from backend.compiled_training import train_eagerly
from helpers import make_backbone
from helpers import make_dino
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import make_vit

from keras_capi import backend
from keras_capi.backend import block_compiler

if keras.backend.backend() != "torch":
    pytest.skip("torch alone compiles blocks", allow_module_level=True)

import torch

pytestmark = COMPILER_WARNINGS
COMPILE = torch.compile
BACKWARD = torch.Tensor.backward


def make_capi(**compile_arguments):
    backbone = make_backbone(**DEEP, predictor_num_layers=2)
    return make_model(backbone, compile_arguments)


MODELS = {
    "capi": make_capi,
    "mae": lambda: make_mae(make_vit(**DEEP)),
    "dino": lambda: make_dino(make_vit(**DEEP)),
    "dropout": lambda: make_mae(
        make_vit(**DEEP, attention_dropout_rate=0.3, seed=1)
    ),
}


@pytest.fixture
def compiles(monkeypatch):
    """Compiles the blocks of tiny models; traces alone, which is quick."""
    compile_tiny_models(monkeypatch)
    use_compiler(monkeypatch, "aot_eager")


def use_compiler(monkeypatch, name):
    torch.compiler.reset()
    block_compiler._compile.cache_clear()
    block_compiler._compile_function.cache_clear()
    monkeypatch.setattr(
        torch, "compile", functools.partial(COMPILE, backend=name)
    )


@pytest.fixture
def num_graphs(monkeypatch):
    """Returns a function that tells how many graphs were compiled."""
    from torch._dynamo.utils import counters

    counters.clear()
    return lambda: counters["stats"]["unique_graphs"]


@pytest.mark.parametrize(
    # CAPI's: teacher, student, predictor, and two of its clustering. DINO's:
    # the networks with views of another size.
    ("name", "most_graphs"),
    [("capi", 5), ("mae", 4), ("dino", 4), ("dropout", 4)],
)
def test_training(name, most_graphs, compiles, num_graphs, monkeypatch):
    batches = [make_images(4, seed=seed) for seed in range(3)]
    expected = train_eagerly(monkeypatch, MODELS[name], *batches)
    assert num_graphs() == 0
    found = train(MODELS[name], *batches)
    assert 2 <= num_graphs() <= most_graphs
    assert_close(found, expected)
    assert not block_compiler._failures


@pytest.mark.parametrize("make", [make_capi, make_mae, make_dino])
def test_users_demand_it(make, num_graphs, monkeypatch):
    """Of the smallest models, from the first step on."""
    use_compiler(monkeypatch, "aot_eager")
    monkeypatch.setattr(block_compiler, "_failures", [])

    def make_compiled():
        model = make()
        model.compile(model.optimizer, jit_compile=True)
        return model

    batches = [make_images(4, seed=seed) for seed in range(2)]
    expected = train(make, *batches)
    assert num_graphs() == 0
    found = train(make_compiled, *batches)
    assert num_graphs() >= 2
    assert_close(found, expected)
    assert not block_compiler._failures


def test_other_kinds_do_not_share(compiles, monkeypatch):
    """The same weights and tensors, but another number of heads."""
    images = make_images()
    for num_heads in (1, 4):
        make = functools.partial(
            lambda n: make_mae(make_vit(num_heads=n)), num_heads
        )
        found = train(make, images, images)
        expected = train_eagerly(monkeypatch, make, images, images)
        assert_close(found, expected)


def test_any_number_of_images(compiles, num_graphs):
    """The second size is taken for one that varies."""
    model = make_model()
    block = model.student.encoder.blocks[0]
    coordinates = keras.random.uniform((1, 5, 2))
    for count in (4, 6, 9, 11):
        tokens = randn(count, 5, 16)
        order = keras.random.shuffle(keras.ops.arange(count))
        sample = keras.ops.stack([order[: count // 2]] * 2)
        arguments = {"drop_path_sample": sample}
        with torch.no_grad():
            expected = block(tokens, coordinates, **arguments)
            with block_compiler.compiled_blocks(model, 0):
                found = block(tokens, coordinates, **arguments)
        torch.testing.assert_close(found, expected)
    assert num_graphs() == 2


def test_functions_of_parts(compiles, num_graphs):
    """The first part's shape is compiled, the rest's and gradients are not."""
    model = make_model()
    calls = []

    def scale(x, factor):
        calls.append(x.requires_grad)
        return x * factor

    run = backend.compiled_function(scale)
    part, smaller = randn(4, 5, 3), randn(4, 2, 3)
    with block_compiler.compiled_blocks(model, 0):
        run(part, factor=2.0)
        num_traced = len(calls)
        for x in (part, smaller, part):
            torch.testing.assert_close(run(x, factor=2.0), x * 2.0)
        assert len(calls) == num_traced + 1
        torch.testing.assert_close(run(part, factor=3.0), part * 3.0)
        assert num_graphs() == 2
        run(part.clone().requires_grad_(), factor=2.0).sum().backward()
        assert calls[-1]
        for count in range(10, 20):
            run(randn(count, 5, 3), factor=2.0)
    assert num_graphs() == block_compiler.MOST_SHAPES


def test_half_precision(compiles, num_graphs, monkeypatch):
    keras.config.set_dtype_policy("mixed_bfloat16")
    images = make_images()
    found = train(make_mae, images, images)
    assert num_graphs() > 0
    expected = train_eagerly(monkeypatch, make_mae, images, images)
    assert_close(found, expected, tolerance=2e-2)


def test_another_policy_later_on(compiles, num_graphs):
    """It holds from then on, as without a compiler."""
    model = make_model()
    block = model.student.encoder.blocks[0]
    arguments = randn(2, 5, 16), keras.random.uniform((1, 5, 2))
    for policy in ("float32", "mixed_bfloat16", "float32"):
        for layer in block._flatten_layers():
            layer.dtype_policy = policy
        with torch.no_grad():
            expected = block(*arguments)
            with block_compiler.compiled_blocks(model, 0):
                found = block(*arguments)
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected)
    assert num_graphs() == 2


def test_by_torchs_compiler(compiles, num_graphs, monkeypatch):
    use_compiler(monkeypatch, "inductor")
    model = make_model()
    tokens = randn(2, 5, 16)
    coordinates = keras.random.uniform((1, 5, 2))
    block = model.student.encoder.blocks[0]
    with torch.no_grad():
        expected = block(tokens, coordinates)
        with block_compiler.compiled_blocks(model, 0):
            found = block(tokens, coordinates)
    assert num_graphs() == 1
    assert not block_compiler._failures
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "arguments", [{"jit_compile": False}, {"run_eagerly": True}], ids=str
)
def test_users_decide(arguments, compiles, num_graphs):
    train(functools.partial(make_capi, **arguments), make_images())
    assert num_graphs() == 0


def test_tiny_models_and_predictions_run_eagerly(num_graphs):
    model = make_capi()
    model.train_on_batch(make_images())
    model.predict_on_batch(make_images())
    assert num_graphs() == 0


def test_the_first_steps_run_eagerly(compiles, num_graphs, monkeypatch):
    monkeypatch.setattr(block_compiler, "NUM_EAGER_STEPS", 2)
    model = make_mae()
    for num_steps in range(1, 4):
        model.train_on_batch(make_images())
        assert (num_graphs() > 0) == (num_steps > 2)


def test_what_stays_eager(compiles, num_graphs):
    """Hooks, low-rank kernels, and stochastic depth of a block's own."""
    model = make_mae()
    blocks = [*model.encoder.blocks, *model.decoder.blocks]
    seen = []
    for block in blocks:
        block.attention.register_forward_hook(lambda *_: seen.append(1))
    model.train_on_batch(make_images())
    assert seen
    assert num_graphs() == 0
    model = make_mae()
    for block in [*model.encoder.blocks, *model.decoder.blocks]:
        block.mlp_hidden.enable_lora(2)
    model.compile(model.published_optimizer(100, batch_size=64))
    model.train_on_batch(make_images())
    assert num_graphs() == 0


def backward_elsewhere(loss):
    """Computes gradients in another thread, as torch does those of a GPU."""
    with concurrent.futures.ThreadPoolExecutor() as executor:
        executor.submit(BACKWARD, loss).result()


@pytest.mark.parametrize("make_plain", [make_mae, make_capi])
@pytest.mark.parametrize("backward", [BACKWARD, backward_elsewhere])
def test_rematerialization(
    make_plain, backward, compiles, num_graphs, monkeypatch
):
    def make():
        with keras.RematScope(mode="full"):
            return make_plain()

    images = make_images()
    expected = train_eagerly(monkeypatch, make, images, images)
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    found = train(make, images, images)
    assert num_graphs() > 0
    assert_close(found, expected)


def test_rematerialization_of_what_was_compiled(compiles, num_graphs):
    """Something else in the step cannot be compiled."""
    with keras.RematScope(mode="full"):
        model = make_mae()
    tokens = randn(2, 4, model.encoder.hidden_dim).requires_grad_()
    with block_compiler.compiled_blocks(model, 0):
        outputs = model.encoder.blocks[0](tokens)
        with pytest.warns(UserWarning, match="eagerly"):
            block_compiler._give_up(RuntimeError())
        outputs.sum().backward()
        assert not block_compiler.this_step.compiles
    assert num_graphs() > 0
    assert tokens.grad is not None


def test_models_are_freed(compiles):
    model = make_mae()
    model.train_on_batch(make_images())
    recordings = weakref.ref(block_compiler._recordings[model])
    del model
    gc.collect()
    assert recordings() is None


def test_no_compiler(compiles, monkeypatch):
    """The training goes on, and says once why it is slower."""

    def fail(*_):
        raise RuntimeError("no C++ compiler")

    use_compiler(monkeypatch, fail)
    expected = train_eagerly(monkeypatch, make_capi, make_images())
    with pytest.warns(UserWarning, match="eagerly") as seen:
        found = train(make_capi, make_images())
    assert sum("no C++ compiler" in str(w.message) for w in seen) == 1
    assert_close(found, expected, tolerance=0)
    train(make_capi, make_images())


def test_bad_inputs_are_told_as_before(compiles):
    """They are no reason to give up."""
    model = make_capi()
    block = model.student.encoder.blocks[0]
    with block_compiler.compiled_blocks(model, 0):
        with pytest.raises(Exception, match="RotaryAttention"):
            block(randn(2, 5, 16), randn(2, 4, 2))
    assert not block_compiler._failures
