"""What a backend computes on: its name, its memory, its speed."""

import importlib.metadata
import platform
import resource
import time

PACKAGES = ("keras", "torch", "jax")


def _is_on_gpu(backend):
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    import jax

    return jax.default_backend() == "gpu"


def device_name(backend):
    """Returns the name of the card, or of the processor."""
    if not _is_on_gpu(backend):
        return f"CPU, {platform.machine()}"
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name()
    import jax

    return jax.devices()[0].device_kind


def torch_device():
    """Returns where the authors' code is to run."""
    return "cuda" if _is_on_gpu("torch") else "cpu"


def peak_memory(backend):
    """Returns the most memory that was in use, in GiB.

    That of the card which tensors took, without what the libraries reserve;
    without a card that of the process.
    """
    if not _is_on_gpu(backend):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    import jax

    return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**30


def memory_in_use():
    """Returns what torch's tensors take now, in GiB; forgets the peak."""
    if not _is_on_gpu("torch"):
        return 0.0
    import torch

    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated() / 2**30


def product_peak(backend, precision, size=8192, repetitions=20):
    """Returns the FLOP/s of products of large square matrices.

    In the backend's own setting of a precision: JAX multiplies float32 on
    recent cards in TF32, torch does not.

    Args:
        backend: String, `"torch"` or `"jax"`.
        precision: String, `"float32"` or `"bfloat16"`.
        size: Integer. Rows and columns.
        repetitions: Integer. Products, after a first one, between two looks at
            the clock.
    """
    multiply, wait = {"torch": _torch_product, "jax": _jax_product}[backend](
        precision, size
    )
    wait(multiply())
    start = time.perf_counter()
    for _ in range(repetitions):
        product = multiply()
    wait(product)
    return repetitions * 2 * size**3 / (time.perf_counter() - start)


def _torch_product(precision, size):
    import torch

    matrix = torch.randn(
        size, size, device=torch_device(), dtype=getattr(torch, precision)
    )
    return lambda: matrix @ matrix, lambda product: product[0, 0].item()


def _jax_product(precision, size):
    import jax

    matrix = jax.random.normal(jax.random.key(0), (size, size), precision)
    multiply = jax.jit(lambda x: x @ x)
    return lambda: multiply(matrix), jax.block_until_ready


def versions():
    """Returns the versions of what computes, as one line."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
