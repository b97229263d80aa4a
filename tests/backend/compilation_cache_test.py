"""What one process compiles, the next one reads."""

import os
import subprocess
import sys

import keras
import pytest

from keras_capi import backend

BACKEND = keras.backend.backend()
# Says how much it takes from the folder.
PROGRAM = """
import pathlib, sys
import jax, keras
from keras_capi import backend

x = keras.ops.ones((3,))
backend.keep_compiled(pathlib.Path(sys.argv[1]))
hits = []
jax.monitoring.register_event_listener(
    lambda name, **_: hits.append(name.endswith("cache_hits"))
)
jax.jit(lambda x: 2.0 * x)(x)
print(sum(hits))
"""

pytestmark = pytest.mark.skipif(
    BACKEND == "tensorflow", reason="has no such folder"
)


@pytest.fixture
def no_choice(monkeypatch):
    """As if the user, here these tests, had not chosen a folder."""
    if BACKEND == "torch":
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
        yield
        return
    import jax

    names = "compilation_cache_dir", "persistent_cache_min_compile_time_secs"
    former = {name: getattr(jax.config, f"jax_{name}") for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in former.items():
        jax.config.update(f"jax_{name}", value)


def _folder():
    if BACKEND == "jax":
        import jax

        return jax.config.jax_compilation_cache_dir
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    return cache_dir()


@pytest.mark.skipif(BACKEND != "jax", reason="torch takes long to compile")
def test_a_process_reads_what_a_former_one_compiled(tmp_path):
    environment = dict(os.environ)
    del environment["JAX_COMPILATION_CACHE_DIR"]
    hits = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert hits == ["0\n", "1\n"]


def test_the_folder_is_the_backends(no_choice, tmp_path):
    backend.keep_compiled(tmp_path / "new")
    assert _folder() == str(tmp_path / "new" / BACKEND)


def test_a_folder_that_cannot_be_written_changes_nothing(no_choice, tmp_path):
    """So a training goes on, and compiles."""
    former = _folder()
    (tmp_path / "file").touch()
    backend.keep_compiled(tmp_path / "file" / "folder")
    assert _folder() == former


def test_a_folder_of_the_users_choice_stays(tmp_path):
    """The tests' own, set before they began."""
    former = _folder()
    backend.keep_compiled(tmp_path)
    assert _folder() == former
    assert not any(tmp_path.iterdir())
