import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_denoising
from helpers import make_images
from helpers import make_model

import keras_capi
from keras_capi.fitting import training_hints
from keras_capi.fitting.batch_size_of import batch_size_of
from keras_capi.fitting.training_hints import TrainingHints

pytestmark = pytest.mark.usefixtures("untraced")

WARMUP = "ended after 2 updates, within the warm-up of 3"


def make_optimizer(kind):
    if kind == "capi":
        return keras_capi.optimizers.capi_optimizer(1e-3, 9, 3)
    rate = keras_capi.optimizers.WarmupCosine(1e-3, 9, 3)
    optimizer = keras.optimizers.AdamW(rate)
    if kind == "scaled":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@pytest.mark.parametrize("kind", ["capi", "adamw", "scaled"])
def test_a_training_that_ends_within_the_warmup(kind, recwarn):
    model = make_model() if kind == "capi" else make_denoising()
    model.compile(make_optimizer(kind))
    with pytest.warns(UserWarning, match=WARMUP):
        model.fit(make_images(), batch_size=4, epochs=2, verbose=0)
    recwarn.clear()
    model.fit(make_images(), batch_size=4, verbose=0)
    assert not [x for x in recwarn if "warm-up" in str(x.message)]


def test_fine_tuning_that_ends_within_the_warmup():
    classifier = keras_capi.models.CAPIClassifier(make_backbone(), 2)
    rate = keras_capi.optimizers.WarmupCosine(1e-3, 9, 3)
    classifier.compile(
        keras_capi.optimizers.LayerDecayAdamW(rate, num_layers=1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    labels = np.zeros(4, "int32")
    with pytest.warns(UserWarning, match=WARMUP):
        classifier.fit(make_images(), labels, epochs=2, verbose=0)


@pytest.mark.parametrize(
    "total_steps, final_value, warns",
    [(2, 0.0, True), (2, 1e-6, True), (2, 5e-4, False), (3, 0.0, False)],
)
def test_a_training_that_goes_on_after_its_schedule(
    total_steps, final_value, warns, recwarn
):
    model = make_denoising()
    rate = keras_capi.optimizers.WarmupCosine(
        1e-3, total_steps, final_value=final_value, truncate=1.0, first_step=1
    )
    model.compile(keras.optimizers.AdamW(rate))
    model.fit(make_images(), batch_size=4, epochs=3, verbose=0)
    found = [str(x.message) for x in recwarn if "has ended" in str(x.message)]
    assert len(found) == warns
    if warns:
        assert "after 2 updates the rate is" in found[0]
        assert found[0].endswith("total_steps=2")


def test_a_schedule_that_ends_high_can_be_exceeded(recwarn):
    model = make_model()
    model.compile(keras_capi.optimizers.capi_optimizer(1e-3, 2, 1))
    model.fit(make_images(), batch_size=4, epochs=3, verbose=0)
    assert not [x for x in recwarn if "has ended" in str(x.message)]


def test_a_part_of_a_training_may_end_there(tmp_path, recwarn):
    """What is left of an epoch after an interruption is a fit of its own."""
    model = make_denoising()
    model.compile(make_optimizer("adamw"))
    hints = TrainingHints(epochs=3, batch_size=4)
    arguments = {"batch_size": 4, "epochs": 2, "verbose": 0}
    # Keras's own, without what the package adds.
    keras.Model.fit(model, make_images(), callbacks=[hints], **arguments)
    assert not [x for x in recwarn if "warm-up" in str(x.message)]
    model.stop_training = True
    with pytest.warns(UserWarning, match=WARMUP):
        hints.on_train_end()


class Stop(keras.callbacks.Callback):
    """Ends a training before a step, which JAX would compile first."""

    def on_train_batch_begin(self, batch, logs=None):
        raise InterruptedError


@pytest.mark.parametrize(
    ("queue_size", "batch_size", "warns"),
    [(0, 4, True), (3, 4, True), (4, 4, False), (0, 8, False)],
)
def test_more_clusters_than_images(queue_size, batch_size, warns, recwarn):
    images = make_images(8)
    clustering = keras_capi.layers.OnlineClustering(8, queue_size=queue_size)
    backbone = make_backbone(image_shape=(16, 16, 3))
    model = make_model(backbone, num_clusters=8, clustering=clustering)
    recwarn.clear()
    with pytest.raises(InterruptedError):
        model.fit(images, batch_size=batch_size, callbacks=[Stop()], verbose=0)
    found = [
        str(x.message) for x in recwarn if "more clusters" in str(x.message)
    ]
    assert bool(found) == warns
    if warns:
        assert f"a batch of 4, queue_size={queue_size}" in found[0]


def test_proposed_settings_do_not_warn():
    for num_images in (10, 300, 5000):
        for batch_size in (1, 4, 48):
            settings = keras_capi.recipes.propose_settings(
                num_images, batch_size, 1000, 64
            )
            balanced = batch_size + settings["queue_size"]
            assert settings["num_clusters"] <= balanced


def test_batch_sizes():
    images = make_images(8)
    assert batch_size_of(images, 4) == 4
    assert batch_size_of(images, None) == 8
    assert batch_size_of(np.zeros((99, 1)), None) == 32
    assert batch_size_of({"images": images}, None) == 8
    assert batch_size_of((x for x in ()), None) is None
    crops = keras_capi.data.RandomCrops(
        [np.zeros((20, 20, 3), "uint8")], 16, batch_size=6, num_batches=2
    )
    assert batch_size_of(crops, None) == 6
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices(images)
        assert batch_size_of(data.batch(3, drop_remainder=True), None) == 3
        assert batch_size_of(data.batch(3), None) is None
        batch = next(iter(data.batch(3)))
        assert batch_size_of(data.batch(3), None, batch) == 3


@pytest.mark.parametrize(
    ("seconds", "scatters"),
    [
        ([1.0] * 40, False),
        ([0.01, 0.4] * 20, False),
        ([30.0] + [1.0] * 39, False),
        # The first ones are only begun.
        ([0.0] * 8 + [1.0] * 32, False),
        ([0.001] * 5 + [1.0] * 35, False),
        ([1.6, 1.7, 9.0, 15.0] * 10, True),
    ],
)
def test_times_that_scatter(monkeypatch, recwarn, seconds, scatters):
    now = [0.0]
    monkeypatch.setattr(training_hints.time, "perf_counter", lambda: now[0])
    hints = TrainingHints(epochs=9, batch_size=None)
    model = keras.Sequential()
    model.compile("sgd")
    hints.set_model(model)
    for epoch in range(8):
        hints.on_epoch_begin(epoch)
        for batch, duration in enumerate(seconds[epoch * 5 :][:5]):
            now[0] += duration
            hints.on_train_batch_end(batch)
        hints.on_epoch_end(epoch)
    found = [x for x in recwarn if "Step times vary" in str(x.message)]
    assert len(found) == scatters
