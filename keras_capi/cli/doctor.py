"""The command `doctor`."""

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import shutil
import sys

import keras

from keras_capi.backend_choice import BACKENDS
from keras_capi.version import __version__

# The modules of each extra, except for those of backends and developers.
EXTRAS = {
    "images": ["PIL"],
    "cli": ["PIL", "typer", "yaml"],
    "report": ["PIL", "jinja2", "matplotlib", "sklearn"],
    "evaluation": ["sklearn"],
    "tensorboard": ["tensorboard"],
    "hub": ["huggingface_hub"],
    "export": ["onnx", "onnxruntime", "onnxscript", "tf2onnx"],
    "demo": ["PIL", "matplotlib", "skimage", "sklearn"],
}
CPU_LIMIT = pathlib.Path("/sys/fs/cgroup/cpu.max")
# A ViT-L with its optimizer and two checkpoints needs more, a small model less.
SMALL_DISK = 5e9


def doctor():
    """Show what this machine has, and what would make training slow or fail."""
    advice = []
    print(f"keras-capi {__version__}, Keras {keras.version()}")
    print(f"Python     {platform.python_version()}, {platform.platform()}")
    _print_backends()
    _print_processor(advice)
    _print_extras(advice)
    free = shutil.disk_usage(".").free
    print(f"Disk       {free / 1e9:.1f} GB free here")
    if free < SMALL_DISK:
        advice.append("Little room for checkpoints: choose another --out.")
    print()
    for line in advice:
        print(f"- {line}")
    if not advice:
        print("Nothing to advise.")


def _print_backends():
    for index, name in enumerate(BACKENDS):
        status = _version_of(name)
        if name == keras.backend.backend():
            # Tensors of each backend know where they are.
            device = keras.ops.zeros((1,)).device
            status += f", in use, on {device}"
        print(f"{'' if index else 'Backends':10} {name}: {status}")


def _version_of(name):
    if not _is_installed(name):
        return "not installed"
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # From a distribution with another name, such as `tensorflow-cpu`.
        return getattr(sys.modules.get(name), "__version__", "installed")


def _is_installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _print_processor(advice):
    cores = count_cores()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    variable = os.environ.get("OMP_NUM_THREADS")
    # From torch, if it is the backend; the others do not tell.
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    print(
        f"Processor  {cores:g} cores, load {load:.1f}, OMP_NUM_THREADS "
        f"{variable or 'not set'}, threads of torch "
        f"{threads or 'unknown: not in use'}"
    )
    advice += advise_on_threads(cores, load, threads)


def count_cores():
    """Returns how many cores this process may use, possibly a fraction."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = CPU_LIMIT.read_text().split()
        # "max" if there is no limit.
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        return cores


def advise_on_threads(cores, load, threads):
    """Returns lines of advice about an overloaded processor.

    Args:
        cores: Float. Cores that this process may use.
        load: Float. Average number of processes that want to run.
        threads: Integer or `None`. Threads of a torch process.
    """
    advice = []
    if threads and threads > max(cores, 1):
        advice.append(
            f"torch has {threads} threads for {cores:g} cores, which wait for "
            f"each other: set OMP_NUM_THREADS={max(int(cores), 1)}."
        )
    if load > 0.8 * cores:
        advice.append(
            f"Other programs are busy (load {load:.1f} on {cores:g} cores). "
            "With several threads torch may then take ten times as long for a "
            "step: set OMP_NUM_THREADS=1, or to the cores that are free."
        )
    return advice


def _print_extras(advice):
    for index, (extra, modules) in enumerate(EXTRAS.items()):
        missing = [name for name in modules if not _is_installed(name)]
        status = f"without {', '.join(missing)}" if missing else "complete"
        print(f"{'' if index else 'Extras':10} {extra}: {status}")
        if missing and extra in ("cli", "report"):
            advice.append(
                f"`keras-capi {'report' if extra == 'report' else 'pretrain'}` "
                f'needs more: pip install "keras-capi[{extra}]".'
            )
