"""Matrix products, by the fastest library on a CPU."""

import string

from keras import ops

from keras_capi.backend.active import BACKEND

# Smaller products would take less time than oneDNN needs to start.
FEWEST_PRODUCTS = 2**22


def matrix_product(x, matrix):
    """Computes `keras.ops.matmul` of a tensor and a matrix."""
    if ONEDNN_PRODUCT is not None and len(x.shape) > 1:
        x, matrix = ops.convert_to_tensor(x), ops.convert_to_tensor(matrix)
        if _is_for_onednn(x, matrix):
            return ONEDNN_PRODUCT(x, matrix)
    if BACKEND == "jax" and len(x.shape) > 2:
        return _flat_product(x, matrix)
    return ops.matmul(x, matrix)


def _flat_product(x, matrix):
    """Multiplies the rows of all samples as one matrix.

    The gradient of the matrix is a sum over rows. If rows have more than one
    axis, XLA first copies one of the operands with its rows last.
    """
    *leading, width = ops.shape(x)
    product = ops.matmul(ops.reshape(x, (-1, width)), matrix)
    return ops.reshape(product, (*leading, matrix.shape[1]))


def weighted_sum(x, weights, axis, weights_axis):
    """Sums a tensor times weights over an axis.

    Args:
        x: Tensor of shape `(...)`.
        weights: Tensor of the shape of `x` without one of its axes.
        axis: The axis to sum over, counted from 0.
        weights_axis: The axis that the weights lack. Must differ from `axis`.

    Returns:
        Tensor of the shape of `x` without `axis`.
    """
    if BACKEND == "torch" and x.device.type == "cpu":
        # torch's product with single vectors takes five to ten times as long.
        return ops.sum(x * ops.expand_dims(weights, weights_axis), axis)
    axes = string.ascii_lowercase[: len(x.shape)]
    weighted, kept = (
        axes.replace(axes[absent], "") for absent in (weights_axis, axis)
    )
    return ops.einsum(f"{axes},{weighted}->{kept}", x, weights)


def _is_for_onednn(x, matrix):
    import torch

    is_float32 = all(
        tensor.dtype == torch.float32 and tensor.device.type == "cpu"
        for tensor in (x, matrix)
    )
    # Exports must consist of torch's own operations, and only these support
    # forward-mode derivatives and mapping over samples.
    is_transformed = (
        torch.jit.is_tracing()
        or torch.compiler.is_exporting()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )
    return is_float32 and not is_transformed


def _define_onednn_product():
    """Registers oneDNN's product of float32 matrices as a torch operation.

    torch uses MKL, which does not use AVX-512 on CPUs that are not Intel's,
    where oneDNN takes less than half of the time.

    Returns:
        Function of two tensors, or `None` if it would gain nothing.
    """
    import torch

    if not (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        # Not a public operation: other versions may lack it.
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    ):
        return None
    linear = torch.ops.mkldnn._linear_pointwise
    # Registered as an operation: `torch.compile` supports the above for
    # constant weights only, but leaves unknown operations as they are.
    name = "keras_capi::matrix_product"
    torch.library.define(name, "(Tensor x, Tensor matrix) -> Tensor")
    product = torch.ops.keras_capi.matrix_product.default

    @torch.library.impl(name, "CPU")
    def multiply(x, matrix):
        is_small = x.numel() * matrix.shape[1] < FEWEST_PRODUCTS
        if is_small or not torch.backends.mkldnn.enabled:
            return torch.matmul(x, matrix)
        # It expects the matrix transposed.
        return linear(_dense(x), _dense(matrix).t(), None, "none", [], "")

    @torch.library.register_fake(name)
    def infer(x, matrix):
        return x.new_empty((*x.shape[:-1], matrix.shape[1]))

    def keep(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    def differentiate(ctx, gradient):
        x, matrix = ctx.saved_tensors
        x_gradient = matrix_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = product(gradient, matrix.t())
        if ctx.needs_input_grad[1]:
            rows = x.flatten(0, -2), gradient.flatten(0, -2)
            matrix_gradient = product(rows[0].t(), rows[1])
        return x_gradient, matrix_gradient

    torch.library.register_autograd(name, differentiate, setup_context=keep)
    return product


def _dense(x):
    """Copies tensors with repeats or gaps, with which oneDNN is slow."""
    return x if x.mT.is_contiguous() else x.contiguous()


ONEDNN_PRODUCT = _define_onednn_product() if BACKEND == "torch" else None
