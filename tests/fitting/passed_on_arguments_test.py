"""Which arguments a function or a class takes, with those it passes on."""

import pytest

from keras_capi import layers
from keras_capi.fitting.passed_on_arguments import list_parameters
from keras_capi.fitting.passed_on_arguments import passes_on_to


class Parent:
    def __init__(self, size, seed=None, **kwargs):
        pass


class Made(Parent):
    """Has a `__new__` that says nothing, as Keras's layers do."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


class Child(Made):
    pass


@pytest.mark.parametrize("made", [Parent, Made, Child])
def test_the_arguments_of_a_class_are_those_of_its_constructor(made):
    """Python before 3.11.5 knew none of `Child`, later ones none of `Made`."""
    assert list(list_parameters(made)) == ["size", "seed"]


def test_layers_whose_parent_has_the_constructor():
    names = set(list_parameters(layers.InverseBlockMasking))
    assert {"mask_ratio", "prediction_ratio", "roll"} <= names


def test_a_method_has_the_arguments_that_it_passes_on():
    @passes_on_to(Made)
    def method(self, rate, **overrides):
        pass

    assert list(list_parameters(method)) == ["size", "seed", "rate"]
