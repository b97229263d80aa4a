"""What steps leave free is kept, what compiling leaves goes back."""

import ctypes
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_mae

from keras_capi.backend import free_memory

needs_glibc = pytest.mark.skipif(
    sys.platform != "linux", reason="glibc alone keeps and returns memory"
)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@needs_glibc
def test_memory_is_returned():
    # Pieces below the size from which on each has pages of its own.
    pieces = [np.ones(12_000) for _ in range(1000)]
    last = np.ones(12_000)
    before = resident_bytes()
    del pieces
    kept = resident_bytes()
    free_memory.return_free_memory()
    assert resident_bytes() <= min(kept, before - 50e6)
    assert last.sum() == 12_000


@needs_glibc
@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="it keeps its own memory"
)
def test_freed_memory_is_kept():
    # In a new process, as threads of former tests have heaps of their own.
    script = """
        import resource, threading
        import keras
        import keras_capi
        import numpy as np
        from keras_capi.backend import free_memory

        def count_pages():
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

        def allocate():
            before = count_pages()
            np.ones(2**23)
            new_pages.append(count_pages() - before)

        new_pages = []
        free_memory.keep_freed_memory()
        for _ in range(3):
            # JAX allocates in threads of its own, torch in that of the user.
            if keras.backend.backend() == "jax":
                thread = threading.Thread(target=allocate)
                thread.start()
                thread.join()
            else:
                allocate()
        print(new_pages[-1])
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # Of 16,384 pages, or of 32 huge ones.
    assert int(output) <= 10


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    free_memory.return_free_memory()
    free_memory.keep_freed_memory()
    free_memory.share_heap()


def test_accelerators_keep_their_own_memory(monkeypatch):
    """But with torch each batch is copied on the host first."""
    settings = []
    monkeypatch.setattr(free_memory, "has_accelerator", lambda: True)
    monkeypatch.setattr(
        free_memory,
        "_set_allocation",
        lambda *setting: settings.append(setting),
    )
    free_memory.keep_freed_memory()
    assert bool(settings) == (keras.backend.backend() == "torch")


def test_after_the_first_step_only(monkeypatch):
    calls = []
    monkeypatch.setattr(
        free_memory, "return_free_memory", lambda: calls.append(1)
    )
    model = make_mae()
    model.compile(model.published_optimizer(10, 4))
    for _ in range(3):
        model.train_on_batch(make_images())
    model.fit(make_images(), batch_size=2, verbose=0)
    assert len(calls) == 1
