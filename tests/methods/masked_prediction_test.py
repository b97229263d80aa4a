"""Weights of samples, added losses and files, as Keras has them."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices
from helpers import make_masking
from helpers import make_model
from helpers import to_numpy

import keras_capi
from keras_capi.models import CAPIClassifier
from keras_capi.models import CAPISegmenter
from keras_capi.models import FeatureExtractor

# The battery traces the steps.
pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(4)
WEIGHTS = np.ones(4)


class Weighted(keras.utils.PyDataset):
    """A batch of images, labels and weights of the samples."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return IMAGES, np.zeros(4), WEIGHTS


CALLS = {
    "fit": lambda m: m.fit(IMAGES, sample_weight=WEIGHTS),
    "fit, classes": lambda m: m.fit(IMAGES, class_weight={0: 1.0, 1: 2.0}),
    "data set": lambda m: m.fit(Weighted(), verbose=0),
    "evaluate": lambda m: m.evaluate(IMAGES, sample_weight=WEIGHTS),
    "evaluate, data set": lambda m: m.evaluate(Weighted(), verbose=0),
    "batch": lambda m: m.train_on_batch(IMAGES, sample_weight=WEIGHTS),
    "test batch": lambda m: m.test_on_batch(IMAGES, np.zeros(4), WEIGHTS),
    "validation": lambda m: m.fit(
        IMAGES, validation_data=(IMAGES, np.zeros(4), WEIGHTS)
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_samples_cannot_be_weighted(name):
    model = make_model()
    with pytest.raises(ValueError, match="all images count alike.*(sample|cl)"):
        CALLS[name](model)
    assert int(model.optimizer.iterations) == 0


class LossyMasking(keras.layers.Layer):
    """A masking that adds a loss of 3."""

    def __init__(self):
        super().__init__()
        self.masking = make_masking()

    def call(self, images, grid_size=None):
        self.add_loss(keras.ops.sum(images) * 0.0 + 3.0)
        return self.masking(images, grid_size=grid_size)


def test_added_losses_count():
    inputs = {"images": IMAGES, **make_indices()}
    plain, regularized = (
        make_model(compile_arguments={"optimizer": keras.optimizers.SGD(0.1)})
        for _ in range(2)
    )
    regularized.set_weights(plain.get_weights())
    # In a step this adds its gradient: twice the weight, times 0.5.
    kernels = [
        model.student.encoder.blocks[0].mlp_hidden.kernel
        for model in (plain, regularized)
    ]
    before = to_numpy(kernels[1])
    kernels[1].regularizer = keras.regularizers.L2(0.5)
    added = 0.5 * (before**2).sum()
    for method in ("test_on_batch", "train_on_batch"):
        logs, more = (
            getattr(model, method)(inputs, return_dict=True)
            for model in (plain, regularized)
        )
        assert logs.keys() == more.keys()
        assert more["loss"] == pytest.approx(logs["loss"] + added, rel=1e-4)
        assert more["capi_loss"] == pytest.approx(logs["capi_loss"], rel=1e-4)
    moved, moved_more = map(to_numpy, kernels)
    np.testing.assert_allclose(moved_more, moved - 0.1 * before, atol=1e-5)


def test_losses_of_layers_count():
    model = make_model(masking=LossyMasking())
    history = model.fit(IMAGES, verbose=0).history
    total = history["capi_loss"][0] + history["clustering_loss"][0]
    assert history["loss"][0] == pytest.approx(total + 3.0, rel=1e-4)


def test_predictions_and_files_are_features(monkeypatch):
    model = make_model()
    expected = model.predict(IMAGES, verbose=0)
    for features in (
        model.predict_on_batch(IMAGES),
        {k: to_numpy(v) for k, v in model.teacher(IMAGES).items()},
    ):
        assert features.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(features[name], value, atol=1e-5)
    exported = []
    monkeypatch.setattr(
        keras.Model,
        "export",
        lambda model, *args, **kwargs: exported.append(model),
    )
    model.export("model.onnx", format="onnx")
    assert exported == [model.teacher]


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_model(make_backbone(drop_path_rate=0.1)),
        lambda: make_model(masking=keras_capi.layers.RandomMasking()),
        make_backbone,
        lambda: make_backbone().encoder,
        lambda: make_backbone().predictor,
        lambda: CAPIClassifier(make_backbone(), 2, "attention"),
        lambda: CAPISegmenter(make_backbone(), 2),
        lambda: FeatureExtractor(make_backbone()),
    ],
    ids=[
        "CAPI",
        "random masking",
        "backbone",
        "encoder",
        "predictor",
        "classifier",
        "segmenter",
        "extractor",
    ],
)
def test_summary_of_all_parts(make):
    model, lines = make(), []
    model.summary(expand_nested=True, print_fn=lines.append)
    text = "\n".join(lines)
    assert "block_0" in text and "Total params" in text
