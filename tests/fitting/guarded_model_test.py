"""A batch that is refused costs no weights."""

import functools

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_denoising
from helpers import make_images
from helpers import make_model
from helpers import to_numpy
from helpers import weights_of

import keras_capi


class BadBatches(keras.utils.PyDataset):
    """Integer images, which no check before the first step can see."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (np.zeros((4, 16, 16, 3), "uint8"),)


# TensorFlow asks for one size before it comes to too few patches.
MESSAGES = "floating point|divisible|No patch|must be known"
CALLS = {
    "fit": lambda model: model.fit(BadBatches(), verbose=0),
    "evaluate": lambda model: model.evaluate(BadBatches(), verbose=0),
    "predict": lambda model: model.predict(BadBatches()[0][0], verbose=0),
    "predict_on_batch": lambda model: model.teacher.predict_on_batch(
        np.zeros((1, 15, 16, 3), "float32")
    ),
    "fit, too small": lambda model: model.fit(make_images(4, 4, 4), verbose=0),
}


@functools.cache
def trained_model():
    """One for all bad batches, as it is to be none the worse for them."""
    model = make_model()
    model.fit(make_images(8), batch_size=4, verbose=0)
    return model


@pytest.mark.parametrize("make", [trained_model, make_model])
@pytest.mark.parametrize("name", CALLS)
def test_weights_survive_a_bad_batch(name, make, tmp_path):
    model, images = make(), make_images(8)
    before = weights_of(model)
    with pytest.raises(ValueError, match=MESSAGES):
        CALLS[name](model)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)
    model.save(tmp_path / "model.keras")
    model.predict(images, verbose=0)
    model.fit(images, batch_size=4, verbose=0)


def test_no_images():
    """Keras fails on them in words that name none."""
    model, images = make_denoising(), make_images()[:0]
    before = weights_of(model)
    for call in (
        model.fit,
        model.evaluate,
        model.predict,
        model.encoder.predict,
        model.train_on_batch,
        model.test_on_batch,
        lambda x: model.fit(make_images(), validation_data=x),
        lambda x: model.fit(make_images(), validation_data=(x,)),
    ):
        with pytest.raises(ValueError, match=r"at least one image.*\(0, 16"):
            call(images)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "4"])
def test_sizes_of_batches(size):
    """Keras takes 32 for 0, and ends in other errors on each backend."""
    model, images = make_denoising(), make_images()
    for call in (
        lambda: model.fit(images, batch_size=size),
        lambda: model.fit(images, None, size),
        lambda: model.evaluate(images, batch_size=size),
        lambda: model.evaluate(images, None, size),
        lambda: model.predict(images, batch_size=size),
        lambda: model.predict(images, size),
        lambda: model.fit(
            images, validation_data=(images,), validation_batch_size=size
        ),
    ):
        with pytest.raises(ValueError, match="batch_size` must be a positive"):
            call()


def test_sizes_of_batches_from_numpy():
    """Which torch's own loader refuses."""
    model, images = make_denoising(), make_images()
    size = np.int64(len(images))
    history = model.fit(
        images,
        batch_size=size,
        validation_data=(images,),
        validation_batch_size=size,
        verbose=0,
    ).history
    assert np.isfinite(history["loss"] + history["val_loss"]).all()
    model.evaluate(images, batch_size=size, verbose=0)
    model.predict(images, batch_size=size, verbose=0)


def test_the_other_models_too():
    backbone = make_backbone()
    for model in (
        keras_capi.models.CAPIClassifier(backbone, 2),
        keras_capi.models.FeatureExtractor(backbone),
    ):
        before = weights_of(model)
        with pytest.raises(ValueError, match="floating point"):
            model.predict(BadBatches()[0][0], verbose=0)
        for weight, value in zip(model.weights, before, strict=True):
            np.testing.assert_array_equal(to_numpy(weight), value)


@pytest.mark.parametrize("inputs", [list(make_images()), (make_images(),)])
def test_lists_are_no_images(inputs):
    with pytest.raises(ValueError, match="stack them.*Received: a (list|tup)"):
        make_denoising().fit(inputs, verbose=0)


@pytest.mark.parametrize("make_one", [make_denoising, make_backbone])
def test_evaluation_needs_compile(make_one):
    model = make_one()
    if model.compiled:
        model = type(model).from_config(model.get_config())
    with pytest.raises(ValueError, match="Call `compile` before `evaluate`"):
        model.evaluate(make_images(4), verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_images_must_be_given(method):
    with pytest.raises(ValueError, match=f"`{method}` must be given images"):
        getattr(make_model(), method)()
