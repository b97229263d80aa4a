"""Keeps what a backend has compiled, for later processes."""

import os
import tempfile

from keras_capi.backend.active import BACKEND


def keep_compiled(folder):
    """Stores in a folder what is compiled, for later processes to use.

    For JAX and for `torch.compile`. Nothing changes if the user has chosen a
    folder with the backend's own environment variable, or if this folder cannot
    be written. TensorFlow is left out: it can store what XLA compiles, but
    prints errors that warn of crashes each time it reads that.

    Args:
        folder: `pathlib.Path`. Gets a subfolder for each backend.
    """
    folder = folder / BACKEND
    if BACKEND == "tensorflow" or _is_chosen() or not _is_writable(folder):
        return
    if BACKEND == "torch":
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        return
    import jax

    # All programs are kept, as building a model runs many small ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _is_chosen():
    if BACKEND == "torch":
        from torch._inductor.runtime.cache_dir_utils import default_cache_dir

        # torch itself sets the variable when Keras is imported.
        default = default_cache_dir()
        return os.environ.get("TORCHINDUCTOR_CACHE_DIR", default) != default
    import jax

    return jax.config.jax_compilation_cache_dir is not None


def _is_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
