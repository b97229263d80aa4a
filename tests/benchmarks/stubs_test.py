"""Placeholders for what the authors' files import and a step does not need."""

import sys

import pytest

from benchmarks.authors.stubs import stubs

CODE = """
import missing_package.transforms as T
from missing_package import Float, Sampler
from missing_package.data.utils import fetch

class Images(Sampler):
    pass

NORM = T.Normalize((0.5,), std=(0.2,))
MODE = T.Mode.BICUBIC

def double(x: Float["n d"] | None):
    return 2 * x
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "code_with_imports.py").write_text(CODE)
    yield tmp_path
    sys.modules.pop("code_with_imports", None)


def test_code_runs_without_the_packages_that_it_names(checkout):
    path, finders = list(sys.path), list(sys.meta_path)
    with stubs(("missing_package",), checkout):
        import code_with_imports

        assert "missing_package.data" in sys.modules
    assert code_with_imports.double(2) == 4
    assert isinstance(code_with_imports.Images(), code_with_imports.Sampler)
    # Nothing of it is left.
    assert (sys.path, sys.meta_path) == (path, finders)
    assert not [name for name in sys.modules if "missing_package" in name]


def test_other_packages_are_still_missing(checkout):
    with stubs(("another_package",), checkout):
        with pytest.raises(ModuleNotFoundError, match="missing_package"):
            import code_with_imports  # noqa: F401
