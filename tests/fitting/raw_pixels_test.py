"""Images that were not normalised, and data sets of unknown shapes."""

import functools

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_mae

import keras_capi

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3))
PIXELS = PIXELS.astype("float32")


class Batches(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


@functools.cache
def shared_model():
    """One for all, as each call of `fit` looks at its images before a step.

    TensorFlow would trace a step for each kind of data set.
    """
    eagerly = keras.backend.backend() == "tensorflow"
    model = make_mae()
    model.compile("sgd", run_eagerly=eagerly)
    return model


def make_classifier():
    classifier = keras_capi.models.CAPIClassifier(
        make_backbone(), num_classes=2, activation="softmax"
    )
    classifier.compile("sgd", "sparse_categorical_crossentropy")
    return classifier


@pytest.mark.parametrize(
    ("images", "values"),
    [
        (PIXELS, "0 to 255"),
        (PIXELS - 128, "-128 to 127"),
        (PIXELS * 30, "0 to 7650"),
        (PIXELS / 4, "0 to 64"),
        (Batches((PIXELS,)), "0 to 255"),
        (Batches({"images": PIXELS, **make_indices()}), "0 to 255"),
        ({"images": PIXELS, **make_indices()}, "0 to 255"),
    ],
    ids=[
        "pixels", "centred", "more bits", "dark", "batches", "masks", "masked"
    ],
)  # fmt: skip
def test_raw_pixels_are_warned_of(images, values):
    message = f"ImageNetNormalization.*values from {values}$"
    with pytest.warns(UserWarning, match=message):
        shared_model().fit(images, verbose=0)


def test_raw_pixels_of_a_classifier():
    labels = np.arange(4) % 2
    classifier = make_classifier()
    with pytest.warns(UserWarning, match="ImageNetNormalization.*0 to 255"):
        classifier.fit(x=PIXELS, y=labels, verbose=0)
    with pytest.warns(UserWarning, match="ImageNetNormalization.*0 to 255"):
        classifier.fit(Batches((PIXELS, labels)), verbose=0)


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("kind", ["tensorflow", "torch"])
def test_raw_pixels_of_other_data_sets(kind):
    if kind == "torch":
        torch = pytest.importorskip("torch")
        samples = [(pixels, 0) for pixels in PIXELS]
        dataset = torch.utils.data.DataLoader(samples, batch_size=2)
    else:
        tf = pytest.importorskip("tensorflow")
        samples = tf.data.Dataset.from_tensor_slices((PIXELS, np.zeros(4)))
        dataset = samples.shuffle(4).batch(2)
    with pytest.warns(UserWarning, match="ImageNetNormalization"):
        shared_model().fit(dataset, verbose=0)


def test_normalized_images_are_not():
    images = make_images()
    # Some outliers are usual in other images than photographs.
    images[0, 0] = 100
    normalize = keras_capi.layers.ImageNetNormalization(dtype="float32")
    for x in (images, Batches((images,)), PIXELS / 255, normalize(PIXELS)):
        shared_model().fit(x, verbose=0)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="only TensorFlow compiles a step without knowing shapes",
)
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_unknown_rank():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_generator(
        lambda: iter([make_images()]),
        output_signature=tf.TensorSpec(None, "float32"),
    )
    labelled = dataset.map(lambda images: (images, tf.zeros(4, "int32")))
    message = r"`images` must have a known rank.*tf\.ensure_shape"
    for call in (
        lambda: make_mae().fit(dataset, verbose=0),
        lambda: make_mae().evaluate(dataset, verbose=0),
        lambda: make_classifier().fit(labelled, verbose=0),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    known = dataset.map(lambda x: tf.ensure_shape(x, (None, 16, 16, 3)))
    make_mae().fit(known, verbose=0)
