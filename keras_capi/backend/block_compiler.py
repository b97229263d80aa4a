"""Compiles transformer blocks and more with torch, once for each kind."""

import contextlib
import functools
import json
import warnings
import weakref

import keras

from keras_capi.backend.active import BACKEND
from keras_capi.backend.recordings import Recordings
from keras_capi.backend.replicas import replica
from keras_capi.backend.this_step import this_step
from keras_capi.backend.training_step import count_values

# The number of trainable weights from which compiling blocks pays off.
MANY_WEIGHTS = 5_000_000
# Steps before compiling, so that trials of a few steps need not wait for it.
NUM_EAGER_STEPS = 10
DEVICES = ("cpu", "cuda")
# For how many batch shapes and settings to compile: each takes ten seconds.
MOST_SHAPES = 4
# These define the name and initial state of a layer, not what it computes.
NO_PART_OF_KIND = {"name", "trainable", "seed", "kernel_initializer"}

_kinds: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_layers: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_num_steps: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_recordings: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_failures: list = []


def num_eager_steps(model, chooses):
    """Returns after how many steps to compile the blocks of a model.

    Args:
        model: A compiled `keras.Model`.
        chooses: Boolean. Whether the user has left the choice open.

    Returns:
        Integer, or `None` for never.
    """
    if BACKEND != "torch" or model.run_eagerly:
        return None
    if not chooses:
        return 0 if model.jit_compile else None
    if count_values(model.trainable_variables) < MANY_WEIGHTS:
        return None
    return NUM_EAGER_STEPS


@contextlib.contextmanager
def compiled_blocks(model, num_eager):
    """Lets torch compile the transformer blocks of a training step.

    This takes half a minute once, and then saves a tenth of each step: too
    little for small models, or for a few steps. Predictions gain as much, but
    are few.

    Args:
        model: A compiled `keras.Model`, whose training step runs in this
            context.
        num_eager: What `num_eager_steps` returned.
    """
    this_step.compiles = (
        num_eager is not None
        and not _failures
        and _count_step(model) > num_eager
    )
    this_step.recordings = _recordings.setdefault(model, Recordings())
    this_step.recordings.begin_step()
    try:
        yield
    finally:
        this_step.compiles = False
        # They hold memory of the GPU, which is to be freed with the model.
        this_step.recordings = None


def _count_step(model):
    _num_steps[model] = _num_steps.get(model, 0) + 1
    return _num_steps[model]


def compiled_block(call):
    """Decorates the `call` of a block, for `compiled_blocks`.

    torch's compiler takes each layer object for a different function. Here a
    block becomes a function of its weights and inputs, the same for all blocks
    that compute the same. It must not assign variables. A block that draws
    random numbers itself is not compiled.
    """
    if BACKEND != "torch":
        return call

    @functools.wraps(call)
    def run(block, *args, **kwargs):
        tensors = [*args, *kwargs.values()]
        if not _can_compile(block, tensors):
            return call(block, *args, **kwargs)
        import torch

        function = _compile(
            call,
            _kind(block),
            (len(args), *kwargs),
            # Compiled separately: otherwise torch would take differing sizes
            # for dynamic ones.
            torch.is_grad_enabled(),
        )
        weights = [variable._value for variable in block.variables]
        # torch would compile again for tensors with another memory layout.
        tensors = [x if x is None else x.contiguous() for x in tensors]
        this_step.block = block
        try:
            return this_step.recordings.call(block, function, weights, tensors)
        except torch._dynamo.exc.TorchDynamoException as error:
            # Bad inputs fail here, too, with a clearer error.
            outputs = call(block, *args, **kwargs)
            _give_up(error)
            return outputs
        finally:
            this_step.block = None

    return run


def compiled_function(function):
    """Decorates a function of tensors and settings, for `compiled_blocks`.

    For functions that handle a tensor part by part, in the forward pass only.
    They are compiled for the shape of the first part of a batch. The last part
    may be smaller, and is not worth another compilation.

    Args:
        function: Function of float tensors of one shape, by position, and of
            settings, by name. It may reduce over all replicas.
    """
    if BACKEND != "torch":
        return function
    shapes = {}

    @functools.wraps(function)
    def run(*tensors, **settings):
        if not _compiles(tensors) or replica()[1] > 1:
            return function(*tensors, **settings)
        import torch

        shape = tuple(tensors[0].shape)
        key = (shape[0], shape[-1], *settings.values())
        if len(shapes) < MOST_SHAPES:
            shapes.setdefault(key, shape)
        if shapes.get(key) != shape or any(x.requires_grad for x in tensors):
            return function(*tensors, **settings)
        compiled = _compile_function(function, shape, *settings.items())
        try:
            return compiled(*tensors)
        except torch._dynamo.exc.TorchDynamoException as error:
            outputs = function(*tensors, **settings)
            _give_up(error)
            return outputs

    return run


def _compiles(tensors):
    import torch

    return (
        this_step.compiles
        and not torch.compiler.is_compiling()
        and all(x is None or x.device.type in DEVICES for x in tensors)
    )


def _can_compile(block, tensors):
    return (
        _compiles(tensors)
        and block.drop_path is None
        and not block.attention_dropout_rate
        and not any(map(_is_special, (block, *_inner_layers(block))))
    )


def _is_special(layer):
    """Returns whether a layer does more than its configuration tells."""
    return (
        layer._forward_hooks
        or layer._forward_pre_hooks
        or getattr(layer, "lora_enabled", False)
        or getattr(layer, "quantization_mode", None)
    )


def _inner_layers(block):
    """Returns the layers of a block, which do not change once it is built."""
    if block not in _layers:
        _layers[block] = tuple(block._flatten_layers(include_self=False))
    return _layers[block]


def _kind(block):
    """Returns a key that is equal for blocks that compute the same."""
    if block not in _kinds:
        parts = [_settings(layer) for layer in block._flatten_layers()]
        _kinds[block] = json.dumps(parts, sort_keys=True, default=str)
    # Unlike the rest of the configuration, dtype policies can be set later.
    layers = (block, *_inner_layers(block))
    return _kinds[block], *(layer.dtype_policy.name for layer in layers)


def _settings(layer):
    config = layer.get_config().items()
    kept = {k: v for k, v in config if k not in NO_PART_OF_KIND}
    return type(layer).__module__, type(layer).__qualname__, kept


@functools.cache
def _compile(call, kind, names, has_gradient):
    """Returns a compiled function of a block's weights and inputs."""
    import torch

    num_positional, *names = names

    @torch.compiler.allow_in_graph
    def trace(weights, tensors):
        block = this_step.block
        args, others = tensors[:num_positional], tensors[num_positional:]
        kwargs = dict(zip(names, others, strict=True))
        mapping = zip(block.variables, weights, strict=True)
        with keras.StatelessScope(state_mapping=mapping):
            return call(block, *args, **kwargs)

    def function(weights, tensors):
        return trace(weights, tensors)

    return _compile_alone(function)


@functools.cache
def _compile_function(function, shape, *settings):
    """Returns a compiled function of tensors of this shape."""
    import torch

    @torch.compiler.allow_in_graph
    def trace(*tensors):
        return function(*tensors, **dict(settings))

    def compiled(*tensors):
        return trace(*tensors)

    return _compile_alone(compiled, dynamic=False)


def _compile_alone(function, **options):
    """Compiles a function that shares its code object with others."""
    import torch

    # torch limits how often it compiles a code object, so each gets its own.
    function.__code__ = function.__code__.replace()
    return torch.compile(function, fullgraph=True, **options)


def _give_up(error):
    """Makes all blocks run eagerly from now on."""
    _failures.append(error)
    this_step.compiles = False
    warnings.warn(
        "torch cannot compile parts of a step here, so they run eagerly, "
        "and a step takes about a tenth longer. On a CPU it needs a C++ "
        "compiler. `compile(..., jit_compile=False)` does not try, and is "
        f"silent. The error was: {error}",
        stacklevel=2,
    )
