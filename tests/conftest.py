import json
import pathlib

import keras
import numpy as np
import pytest

import keras_capi

REFERENCE = pathlib.Path(__file__).parent / "reference"


@pytest.fixture(autouse=True, scope="session")
def _compilation_cache(tmp_path_factory):
    """Lets tests of one model share what JAX compiled for it."""
    if keras.backend.backend() == "jax":
        import jax

        for name, value in (
            ("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("jax"))),
            ("jax_persistent_cache_min_compile_time_secs", 0),
            ("jax_persistent_cache_min_entry_size_bytes", -1),
        ):
            jax.config.update(name, value)


@pytest.fixture(autouse=True)
def _fresh_state():
    """Every test starts from the same seed and leaves nothing behind."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session()


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
