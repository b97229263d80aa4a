import math

import pytest

from keras_capi.optional_imports import import_optional


def test_imports():
    assert import_optional("math", extra="demo") is math


def test_missing_package_names_the_extra():
    with pytest.raises(
        ImportError, match=r'`missing`.*`pip install "keras-capi\[demo\]"`'
    ):
        import_optional("missing.part", extra="demo")
