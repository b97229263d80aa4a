import contextlib
import gc
import importlib.metadata
import json
import os
import pathlib
import platform
import random

# Lets tests, and the processes that they start, share what JAX and torch
# compile. Set before JAX is imported.
CACHE = pathlib.Path(__file__).parents[1] / ".pytest_cache"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "jax"))
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(CACHE / "torch"))
# JAX reads files that another process has half written. So each of pytest's
# workers, which inherit the variable, has a folder of its own.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["JAX_COMPILATION_CACHE_DIR"] += f"/{worker}"
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Tests mostly compile what then runs for an instant.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# XLA's former way to make machine code takes half as long for a small training
# step. It may compute a value twice, of which both must have the same bits: so
# no fused multiplication and addition, which processors have since AVX2. Small
# code is made in less time as one part than as up to 32, for as many threads.
# XLA ends a process whose flags it does not know: for a version that does.
JAX_IS_KNOWN = os.environ.get(
    "KERAS_BACKEND"
) == "jax" and importlib.metadata.version("jaxlib").startswith("0.10.")
if JAX_IS_KNOWN and platform.machine() in ("AMD64", "x86_64"):
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_max_isa=AVX "
        "--xla_cpu_parallel_codegen_split_count=1",
    )
# Threads of several test processes wait for each other, on tiny arrays.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# ruff: noqa: E402
import keras
import numpy as np
import pytest

import keras_capi

REFERENCE = pathlib.Path(__file__).parent / "reference"

# A garbage collection that looks at all that the packages have made takes a
# third of a second, and a training makes for many: so fewer, and not there.
# `USUAL_GARBAGE_COLLECTION=1` has Python's own settings.
if not os.environ.get("USUAL_GARBAGE_COLLECTION"):
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def stop_tuning_of_data_sets():
    """Lets iterators of TensorFlow's data sets end at once.

    A thread of each tunes it, ever more rarely, and who deletes an iterator
    may wait until that thread looks again: as long as the iterator has lived.
    Those of broken trainings are garbage, whose collection took minutes.
    """
    import tensorflow as tf

    iterate = tf.data.Dataset.__iter__
    options = tf.data.Options()
    options.autotune.enabled = False
    tf.data.Dataset.__iter__ = lambda self: iterate(self.with_options(options))


# Speed is all that is tuned. `TUNE_DATA_SETS=1` has it as it is for users.
if keras.backend.backend() == "tensorflow" and not os.environ.get(
    "TUNE_DATA_SETS"
):
    stop_tuning_of_data_sets()


def keep_kernels():
    """Lets TensorFlow keep what it has made ready to run from test to test.

    New seeds, which every test sets, throw away the kernels of all operations
    and functions: random operations with a state of their own begin anew so. To
    make the kernels again took a quarter of the time of TensorFlow's tests. So
    only after such an operation ran by itself. Those of Keras have no state.
    """
    from tensorflow.python.eager import context
    from tensorflow.python.framework import random_seed

    set_seed = context.Context._set_global_seed
    get_seed = random_seed.get_seed
    has_state = False

    def get_seed_of_operation(op_seed):
        nonlocal has_state
        # What is traced belongs to its function, and goes with it.
        has_state = has_state or context.executing_eagerly()
        return get_seed(op_seed)

    def set_global_seed(self, seed):
        nonlocal has_state
        if has_state:
            has_state = False
            set_seed(self, seed)
            return
        self._seed = seed
        self._rng = random.Random(seed)

    random_seed.get_seed = get_seed_of_operation
    context.Context._set_global_seed = set_global_seed


# Speed is all that differs. `USUAL_SEEDS=1` has it as it is for users.
if keras.backend.backend() == "tensorflow" and not os.environ.get(
    "USUAL_SEEDS"
):
    keep_kernels()


def lower_with_few_dialects():
    """Lets JAX load only the dialects of MLIR that its operations lower to.

    For each computation it loads all others, too, such as those of GPUs. That
    takes a sixth of the time that a single operation needs to compile, and
    tests run thousands by themselves.
    """
    from jax._src.interpreters import mlir

    def make_ir_context():
        context = mlir.JaxIrContext()
        context.append_dialect_registry(mlir.upstream_dialects)
        context.set_thread_pool(mlir.global_thread_pool)
        context.dialects["func"]
        mlir.dialects.sdy.register_dialect(context)
        mlir.dialects.mhlo.register_mhlo_dialect(context)
        mlir.dialects.chlo.register_dialect(context)
        mlir.dialects.hlo.register_dialect(context)
        return context

    mlir.make_ir_context = make_ir_context


# Speed is all that differs. `ALL_DIALECTS=1` has it as it is for users.
if JAX_IS_KNOWN and not os.environ.get("ALL_DIALECTS"):
    lower_with_few_dialects()


@pytest.fixture(autouse=True)
def _fresh_state():
    """Every test starts from the same seed and the default precision."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@contextlib.contextmanager
def run_untraced():
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def untraced():
    """Lets TensorFlow run steps operation by operation.

    To trace a step takes longer than a few steps do. For tests of what is
    around it: the steps of all methods are traced in `methods`.
    """
    with run_untraced():
        yield


@pytest.fixture
def untraced_once():
    """The same for one test of a module whose others trace steps."""
    with run_untraced():
        yield


@pytest.fixture
def few_to_collect():
    """Makes garbage collections quick, of which Keras's `quantize` does many.

    It collects for each kernel that it replaces, and each time Python looks at
    all objects of all packages.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def reference():
    """Arrays that the authors' implementation computed."""
    with np.load(REFERENCE / "capi_reference.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def reference_config():
    """The configuration of those arrays."""
    return json.loads((REFERENCE / "capi_reference.json").read_text())


@pytest.fixture
def reference_backbone():
    """The backbone of the reference, with its initial weights."""
    return keras_capi.convert.load_torch_checkpoint(
        REFERENCE / "capi_reference.pth", drop_path_rate=0.0
    )
