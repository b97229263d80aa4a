"""Products with a matrix, by the library that is the fastest on a CPU."""

import functools

from keras import ops

from keras_capi.backend.active import BACKEND

# Products of fewer numbers are done before oneDNN has begun.
FEWEST_PRODUCTS = 2**22


def matrix_product(x, matrix):
    """Computes `keras.ops.matmul` of a tensor and a matrix."""
    if BACKEND == "torch":
        x, matrix = ops.convert_to_tensor(x), ops.convert_to_tensor(matrix)
        if _takes_onednn(x, matrix):
            return _onednn_product().apply(x, matrix)
    return ops.matmul(x, matrix)


def _takes_onednn(x, matrix):
    """Tells whether oneDNN's product is to replace that of MKL.

    On CPUs of other makers than Intel, MKL leaves AVX-512 alone, and oneDNN
    takes less than half of the time.
    """
    import torch

    return (
        _has_onednn()
        and torch.backends.mkldnn.enabled
        and all(
            tensor.dtype == torch.float32 and tensor.device.type == "cpu"
            for tensor in (x, matrix)
        )
        and x.numel() * matrix.shape[1] >= FEWEST_PRODUCTS
        # What is exported must consist of public operations.
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


@functools.cache
def _has_onednn():
    import torch

    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        # Not a public operation: other versions may lack it.
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


@functools.cache
def _onednn_product():
    """Makes the product, an `autograd.Function`, once torch is loaded."""
    import torch

    linear = torch.ops.mkldnn._linear_pointwise

    class Product(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, matrix):
            # It takes the matrix transposed.
            return linear(_dense(x), _dense(matrix).t(), None, "none", [], "")

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, gradient):
            x, matrix = ctx.saved_tensors
            x_gradient = matrix_gradient = None
            if ctx.needs_input_grad[0]:
                x_gradient = Product.apply(gradient, matrix.t())
            if ctx.needs_input_grad[1]:
                matrix_gradient = Product.apply(
                    x.reshape(-1, x.shape[-1]).t(),
                    gradient.reshape(-1, gradient.shape[-1]),
                )
            return x_gradient, matrix_gradient

        @staticmethod
        def jvp(ctx, x_tangent, matrix_tangent):
            x, matrix = ctx.saved_tensors
            return Product.apply(x_tangent, matrix) + Product.apply(
                x, matrix_tangent
            )

    return Product


def _dense(x):
    """Copies what is repeated or has gaps, with which oneDNN is slow."""
    return x if x.mT.is_contiguous() else x.contiguous()
