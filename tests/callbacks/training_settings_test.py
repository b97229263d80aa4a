import json
import types

import keras
import numpy as np
import tensorflow as tf
from helpers import make_backbone
from helpers import make_model

import keras_capi
from keras_capi.callbacks.training_settings import as_line
from keras_capi.callbacks.training_settings import compare_settings
from keras_capi.callbacks.training_settings import describe_data
from keras_capi.callbacks.training_settings import training_settings


def stored(model, data=None):
    return json.loads(json.dumps(training_settings(model, data or {})))


def make_segmenter():
    """A model that trains in part."""
    backbone = make_backbone(predictor_num_layers=2)
    model = keras_capi.models.CAPISegmenter(backbone, 3)
    model.compile("adamw", "mse")
    return model


def test_equal_models_have_equal_settings():
    """Whatever their layers were named, and when they were built."""
    backbone = make_backbone(seed=None)
    classifier = keras_capi.models.CAPIClassifier(backbone, 3)
    classifier.compile("adamw", lambda labels, logits: 0.0, ["accuracy"])
    settings = stored(classifier)
    classifier.optimizer.build(classifier.trainable_variables)
    assert compare_settings(settings, stored(classifier)) == ({}, {})
    for make in (make_model, make_segmenter):
        assert compare_settings(stored(make()), stored(make())) == ({}, {})


def test_precision_and_loss_count():
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = stored(make_model())
    keras.config.set_dtype_policy("float32")
    refused, _ = compare_settings(half, stored(make_model()))
    assert refused["model.dtype.name"] == (
        "model.dtype.name: mixed_bfloat16 before, float32 now"
    )

    def compiled(**options):
        model = keras_capi.models.CAPIClassifier(make_backbone(), 3)
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, **options
        )
        model.compile("adamw", loss)
        return stored(model)

    refused, changed = compare_settings(compiled(), compiled(ignore_class=255))
    assert list(refused) == ["loss.ignore_class"] and not changed


def test_settings_that_one_version_does_not_have():
    new = {"model": {"depth": 2, "width": 3}, "versions": {"keras": "2"}}
    old = {"model": {"depth": 2, "height": 3}, "versions": {"keras": "1"}}
    refused, changed = compare_settings(old, new)
    assert not refused
    assert changed == {"versions.keras": "versions.keras: 1 before, 2 now"}
    refused, _ = compare_settings({**old, "versions": new["versions"]}, new)
    assert list(refused) == ["model.width", "model.height"]


def test_what_may_change():
    def optimizer(**changes):
        return {"optimizer": {"learning_rate": 1.0, **changes}, "versions": {}}

    old = optimizer(clipnorm=None, weight_decay=0.1, beta_1=0.9)
    new = optimizer(clipnorm=1.0, weight_decay=0.2, beta_1=0.8)
    refused, changed = compare_settings(old, new)
    assert list(refused) == ["optimizer.beta_1"]
    assert list(changed) == ["optimizer.clipnorm", "optimizer.weight_decay"]
    assert compare_settings(None, new) == ({}, {})


def test_a_rate_of_zero_may_change():
    """Beside it a configuration has what groups' rates were to it."""
    group = keras_capi.optimizers.Group(learning_rate=2e-3)

    def settings(rate):
        optimizer = keras_capi.optimizers.AdamW(
            1e-3, groups={"own": group}, name="adamw"
        )
        optimizer.learning_rate = rate
        return {"optimizer": optimizer.get_config(), "versions": {}}

    refused, changed = compare_settings(settings(0.0), settings(1e-3))
    assert not refused
    assert "optimizer.learning_rate" in changed


def test_line_is_not_too_long():
    line = as_line({str(n): f"{n}: 0 before, 1 now" for n in range(10)})
    assert line.startswith("0: 0 before, 1 now; 1:")
    assert line.endswith("5: 0 before, 1 now; and 4 more")


def test_describes_data_of_any_kind():
    images = np.zeros((6, 4, 4, 3))
    batches = (image for image in images)
    assert describe_data({"images": images}, images[:, 0, 0, 0], 2) == {
        "x": {"images": [6, 4, 4, 3]},
        "y": [6],
        "batch_size": 2,
    }
    assert describe_data(batches)["x"] == {
        "class": "generator",
        "num_batches": None,
    }


class Batches(keras.utils.PyDataset):
    """Two batches, of which only themselves tell how large they are."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.zeros((self.size, 4, 4, 3)), np.zeros(self.size)


def test_sizes_of_batches_count():
    """The number of batches may be the same."""
    zeros = tf.data.Dataset.from_tensor_slices(np.zeros((6, 4)))
    for data, size in (
        (Batches(3), 3),
        (zeros.batch(3, drop_remainder=True), 3),
        (types.SimpleNamespace(batch_size=5), 5),
        (np.zeros((40, 4, 4, 3)), 32),
    ):
        assert describe_data(data)["batch_size"] == size
