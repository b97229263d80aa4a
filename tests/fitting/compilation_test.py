"""What a step of training is compiled by, if users leave it open."""

import keras
import pytest
from helpers import make_images
from helpers import make_model

from keras_capi.backend import training_step

BACKEND = keras.backend.backend()
OF_KERAS = {"tensorflow": False, "jax": True, "torch": False}[BACKEND]
NO_TENSORFLOW = "It chooses what Keras does not on TensorFlow alone."


def choices(model, monkeypatch):
    """Returns `jit_compile` where Keras makes the step, and after it."""
    seen = []
    make = keras.Model.make_train_function

    def record(model, force=False):
        seen.append(model.jit_compile)
        return make(model, force)

    monkeypatch.setattr(keras.Model, "make_train_function", record)
    model.train_on_batch(make_images(4))
    return *seen, model.jit_compile


def test_tiny_models_are_not_worth_compiling(monkeypatch):
    assert choices(make_model(), monkeypatch) == (OF_KERAS, OF_KERAS)


def test_steps_of_training_are_compiled(monkeypatch):
    monkeypatch.setattr(training_step, "MANY_WEIGHTS", 1)
    expected = BACKEND != "torch"
    assert choices(make_model(), monkeypatch) == (expected, OF_KERAS)


@pytest.mark.skipif(BACKEND != "tensorflow", reason=NO_TENSORFLOW)
@pytest.mark.parametrize(
    "arguments", [{"jit_compile": False}, {"run_eagerly": True}], ids=str
)
def test_users_decide(arguments, monkeypatch):
    monkeypatch.setattr(training_step, "MANY_WEIGHTS", 1)
    model = make_model(compile_arguments=arguments)
    assert choices(model, monkeypatch) == (False, False)


@pytest.mark.skipif(BACKEND != "tensorflow", reason=NO_TENSORFLOW)
def test_layers_that_cannot_be_compiled_are_not(monkeypatch):
    monkeypatch.setattr(training_step, "MANY_WEIGHTS", 1)
    model = make_model()
    model.masking.supports_jit = False
    assert choices(model, monkeypatch) == (False, False)


@pytest.mark.parametrize("arguments", [{}, {"jit_compile": False}], ids=str)
def test_files_leave_open_what_was(arguments, tmp_path):
    """Another backend that loads the file may choose otherwise."""
    model = make_model(compile_arguments=arguments)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for config in (model.get_compile_config(), loaded.get_compile_config()):
        assert config["jit_compile"] == arguments.get("jit_compile", "auto")
