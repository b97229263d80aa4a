"""Products by another library equal those of Keras."""

import re

import keras
import numpy as np
import pytest
from backend_helpers import COMPILATIONS
from backend_helpers import compile_function
from backend_helpers import gradients
from helpers import to_numpy
from keras import ops

from keras_capi import backend
from keras_capi.backend import products

# Above and below the size from which on torch takes the other library.
SHAPES = [
    ((2, 5, 8), (8, 6)),
    ((3, 200, 96), (96, 128)),
    ((4, 0), (0, 3)),
    ((2048,), (2048, 2048)),
]
needs_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="torch alone has two libraries"
)
needs_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="TensorFlow flattens by itself"
)


def make_arrays(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize("shapes", SHAPES)
def test_product(shapes, compilation):
    x, matrix = make_arrays(*shapes)
    product = compile_function(backend.matrix_product, compilation)
    np.testing.assert_allclose(
        to_numpy(product(x, matrix)), x @ matrix, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("repeats", [False, True])
def test_gradients(shapes, repeats):
    """Also where the gradient is one number for all, a tensor without size."""
    x, matrix = make_arrays(*shapes)
    (weights,) = make_arrays((*x.shape[:-1], matrix.shape[-1]))

    def loss(product):
        return lambda *tensors: ops.sum(
            ops.multiply(product(*tensors), 1.0 if repeats else weights)
        )

    expected = gradients(loss(ops.matmul), x, matrix)
    found = gradients(loss(backend.matrix_product), x, matrix)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


@needs_jax
@pytest.mark.parametrize("shape", [(2, 5, 8), (2, 3, 5, 8)])
def test_gradients_copy_nothing(shape):
    import jax

    def differentiate(x, matrix, gradient):
        return jax.vjp(backend.matrix_product, x, matrix)[1](gradient)

    arrays = make_arrays(shape, (8, 6), (*shape[:-1], 6))
    text = jax.jit(differentiate).lower(*arrays).compile().as_text()
    operations = set(re.findall(r" = \S+ ([a-z-]+)\(", text))
    assert "parameter" in operations
    assert not {"copy", "transpose"} & operations


def test_transposed_and_cut_arguments():
    x, matrix = map(ops.convert_to_tensor, make_arrays((96, 900), (128, 200)))
    found = backend.matrix_product(
        ops.transpose(x), ops.transpose(matrix[:, :96])
    )
    expected = ops.matmul(ops.transpose(x), ops.transpose(matrix[:, :96]))
    np.testing.assert_allclose(
        to_numpy(found), to_numpy(expected), rtol=1e-4, atol=1e-4
    )


def test_precision_of_the_arguments():
    x, matrix = map(ops.convert_to_tensor, make_arrays(*SHAPES[1]))
    for dtype in ("float16", "bfloat16"):
        product = backend.matrix_product(
            ops.cast(x, dtype), ops.cast(matrix, dtype)
        )
        assert keras.backend.standardize_dtype(product.dtype) == dtype


@needs_torch
def test_the_operation_that_is_not_public_is_there():
    """Without it, float32 is slow on many CPUs, but nothing breaks."""
    import torch

    assert hasattr(torch.ops.mkldnn, "_linear_pointwise")


@needs_torch
@pytest.mark.skipif(
    products.ONEDNN_PRODUCT is None, reason="needs a CPU with AVX-512"
)
# As torch 2.11 does, once a process.
@pytest.mark.filterwarnings("ignore:.*Profiler clears events:UserWarning")
def test_which_products_take_onednn():
    import torch

    def takes_onednn(*tensors):
        with torch.profiler.profile() as profile:
            backend.matrix_product(*tensors)
        names = {event.key for event in profile.key_averages()}
        return "mkldnn::_linear_pointwise" in names

    large = torch.ones(2048, 64), torch.ones(64, 64)
    with keras.device("cpu"):
        assert takes_onednn(*large)
        assert not takes_onednn(torch.ones(4, 64), large[1])
        assert not takes_onednn(*(x.double() for x in large))
        was_enabled = torch._C._get_mkldnn_enabled()
        torch._C._set_mkldnn_enabled(False)
        try:
            assert not takes_onednn(*large)
        finally:
            torch._C._set_mkldnn_enabled(was_enabled)


@needs_torch
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_derivatives_of_derivatives_and_transforms():
    import torch

    x, matrix = map(ops.convert_to_tensor, make_arrays(*SHAPES[1]))
    for tensor in (x, matrix):
        tensor.requires_grad_(True)

    def second(product):
        first = torch.autograd.grad(
            product(x, matrix).sin().mean(), (x, matrix), create_graph=True
        )
        total = sum(gradient.square().sum() for gradient in first)
        return torch.autograd.grad(total, (x, matrix))

    def forward(product):
        return torch.func.jvp(product, (x, matrix), (x, matrix))

    def dual(product):
        with torch.autograd.forward_ad.dual_level():
            pair = torch.autograd.forward_ad.make_dual(x, x)
            return torch.autograd.forward_ad.unpack_dual(product(pair, matrix))

    def per_sample(product):
        def loss(sample, matrix):
            return product(sample, matrix).square().sum()

        return [torch.func.vmap(torch.func.grad(loss), (0, None))(x, matrix)]

    for transform in (second, forward, dual, per_sample):
        for one, other in zip(
            transform(backend.matrix_product),
            transform(torch.matmul),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@needs_torch
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_exported_programs_have_public_operations_only():
    import torch

    class Product(torch.nn.Module):
        def forward(self, x, matrix):
            return backend.matrix_product(x, matrix)

    arguments = tuple(map(ops.convert_to_tensor, make_arrays(*SHAPES[1])))
    program = torch.export.export(Product(), arguments)
    assert "matrix_product" not in str(program.graph)
    traced = torch.jit.trace(Product(), arguments)
    assert "matrix_product" not in str(traced.graph)


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize(
    "shape, axis, weights_axis",
    [((4, 3, 5), 0, 2), ((4, 3, 5), 2, 0), ((4, 3), 1, 0), ((2, 4, 3), 1, 2)],
)
def test_weighted_sum(shape, axis, weights_axis, compilation):
    weights_shape = np.delete(shape, weights_axis)
    x, weights = make_arrays(shape, weights_shape)
    found = compile_function(
        lambda *tensors: backend.weighted_sum(*tensors, axis, weights_axis),
        compilation,
    )(x, weights)
    expected = np.sum(x * np.expand_dims(weights, weights_axis), axis)
    np.testing.assert_allclose(to_numpy(found), expected, atol=1e-5)
