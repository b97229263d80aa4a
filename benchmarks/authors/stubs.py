"""Placeholders for packages that code imports and does not need here."""

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types


class _Anything(type):
    """A class of which every attribute is such a class too."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return placeholder(name)

    def __getitem__(cls, key):
        return cls


def placeholder(name):
    """Returns a class to call, to inherit from, to subscript or to name."""
    return _Anything(name, (), {"__init__": lambda self, *_, **__: None})


class _Module(types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return placeholder(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, packages):
        self.packages = packages

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in self.packages:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


@contextlib.contextmanager
def stubs(packages, checkout):
    """Imports from a checkout, with placeholders for packages.

    The authors' files import libraries for data, clusters of machines and
    evaluation that a training step on one machine never calls. Inside of this
    context they are placeholders, whether they are installed or not, so that
    the step is the same everywhere.

    Args:
        packages: Names of packages, or of modules of the checkout.
        checkout: Path of the folder to import from.
    """
    finder = _Finder(frozenset(packages))
    sys.meta_path.insert(0, finder)
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        sys.meta_path.remove(finder)
        for name in list(sys.modules):
            if isinstance(sys.modules[name], _Module):
                del sys.modules[name]
