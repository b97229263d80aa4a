import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy
from helpers import weights_of

import keras_capi
from keras_capi.callbacks import Checkpoint
from keras_capi.data import AugmentedImages
from keras_capi.data import RandomCrops
from keras_capi.data import ViewBatches
from keras_capi.methods.shared.sample_clusters import sample_clusters

IMAGES = make_images(12, 20, 24)


def compiled(**arguments):
    keras.utils.set_random_seed(0)
    model = keras_capi.methods.DeepClusterV1(
        make_vit(),
        **{
            "num_clusters": 4,
            "head": keras_capi.layers.AlexNetHead(12, 6, seed=1),
            "seed": 0,
            **arguments,
        },
    )
    model.compile(model.published_optimizer(6, batch_size=4))
    return model


def test_clusters_come_equally_often():
    labels = np.array([0] * 30 + [1] * 4 + [3] * 6 + [-100] * 5)
    drawn = sample_clusters(labels, 28, np.random.default_rng(0))
    assert drawn.shape == (28,)
    counts = np.bincount(labels[drawn], minlength=4)
    # int(28 / 3) + 1 of each, less the two too many.
    assert counts.max() <= 10
    assert counts[[0, 1, 3]].min() >= 8
    assert counts[2] == 0
    of_large = drawn[labels[drawn] == 0]
    # Without repetition where there are enough.
    assert len(set(of_large)) == len(of_large)
    # In random order.
    assert len(set(labels[drawn[:10]])) > 1


def test_features_are_of_the_middle_before_the_relu():
    model = compiled()
    batch = {"images": IMAGES, "indices": np.arange(12)}
    features = model.compute_features(batch)
    assert features.shape == (12, 6)
    assert (features < 0).any()
    np.testing.assert_array_equal(features, model.compute_features(batch))
    middle = model.views(IMAGES[:, 1:19, 1:23], training=False)
    encoded = model.encoder(middle)["global"]
    np.testing.assert_allclose(
        features, to_numpy(model.head(encoded)), atol=1e-5
    )


def test_assignments_and_a_new_classifier():
    model = compiled(num_images=12)
    former = to_numpy(model.classifier.kernel)
    model.classifier.bias.assign(np.ones(4))
    # Two directions, of vectors of different lengths.
    features = np.eye(6, dtype="float32")[[0] * 6 + [1] * 4]
    features *= np.linspace(1, 2, 10, dtype="float32")[:, None]
    model.num_components = 1
    model.num_clusters = 2
    model.assign_clusters(np.arange(10) + 2, features, epoch=3)
    labels = to_numpy(model.memory.labels)
    np.testing.assert_array_equal(labels[:2], -100)
    assert len(set(labels[2:8])) == len(set(labels[8:])) == 1
    assert labels[2] != labels[8]
    assert model.memory.are_for(3)
    assert (to_numpy(model.classifier.kernel) != former).all()
    assert abs(to_numpy(model.classifier.kernel)).max() < 0.06
    np.testing.assert_array_equal(to_numpy(model.classifier.bias), 0)


def test_only_the_classifier_has_no_momentum():
    model = compiled()
    optimizer = model.optimizer
    assert optimizer.without_momentum == ("classifier",)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)
    moments = [m for m in optimizer._momentums if m is not None]
    assert len(moments) == len(model.trainable_variables) - 2


def test_images_without_a_cluster_do_not_count():
    model = compiled(num_images=12)
    batch = {"views": IMAGES[:, :16, :16], "indices": np.arange(12)}

    def loss(batch):
        losses = model.compute_losses(batch, training=False)
        return float(to_numpy(losses["cluster_loss"]))

    assert loss(batch) == 0
    labels = np.full(12, -100)
    labels[3] = 1
    model.memory.label(labels, 0)
    alone = {name: values[3:4] for name, values in batch.items()}
    assert loss(batch) == pytest.approx(loss(alone), rel=1e-4)
    assert loss(alone) > 0


def test_each_epoch_has_other_clusters_and_images():
    model, seen = compiled(), []

    def note(epoch, logs):
        seen.append(to_numpy(model.memory.labels))

    callback = keras.callbacks.LambdaCallback(on_epoch_end=note)
    model.fit(IMAGES, batch_size=5, epochs=2, callbacks=[callback], verbose=0)
    assert model.memory.num_images == 12
    for labels in seen:
        assert set(labels) <= set(range(4))
    assert not np.array_equal(*seen)


def train(folder, within_epoch, interrupt=None):
    model, seen = compiled(), []
    data, batch_size, checkpoint = IMAGES, 4, Checkpoint(folder)
    if within_epoch:
        data = RandomCrops(list(IMAGES), 18, 4, 3, seed=0)
        batch_size, checkpoint = None, Checkpoint(folder, data, every=1)

    def count(batch, logs):
        seen.append(batch)
        if len(seen) == interrupt:
            raise KeyboardInterrupt

    model.fit(
        data,
        batch_size=batch_size,
        epochs=2,
        callbacks=[
            keras.callbacks.LambdaCallback(on_train_batch_end=count),
            checkpoint,
        ],
        verbose=0,
    )
    return weights_of(model)


@pytest.mark.parametrize("within_epoch", [False, True])
def test_goes_on_after_a_crash(within_epoch, tmp_path):
    """Bit for bit, from the begin of an epoch or within one."""
    reference = train(tmp_path / "whole", within_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", within_epoch, interrupt=5)
    for weight, expected in zip(
        train(tmp_path / "run", within_epoch), reference, strict=True
    ):
        np.testing.assert_array_equal(weight, expected)


def test_images_in_files(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for number, pixels in enumerate(IMAGES):
        pixels = np.clip(128 + 50 * pixels, 0, 255).astype("uint8")
        image.fromarray(pixels).save(tmp_path / f"{number}.png")
    dataset = AugmentedImages(tmp_path, 20, 4)
    model = compiled()
    history = model.fit(dataset, epochs=2, verbose=0).history
    assert np.isfinite(history["cluster_loss"]).all()
    assert (dataset.is_numbered, dataset.drawn_images) == (False, None)
    assert (to_numpy(model.memory.labels) >= 0).all()


def test_errors():
    batches = ViewBatches(
        RandomCrops(list(IMAGES), 16, 4, 1),
        keras_capi.layers.RandomResizedCrop(16, 16),
    )
    with pytest.raises(ValueError, match="Received: ViewBatches"):
        compiled().fit(batches)
    with pytest.raises(ValueError, match="num_clusters=0"):
        compiled(num_clusters=0)
    with pytest.raises(ValueError, match="num_components=0"):
        compiled(num_components=0)


def test_numbers_that_are_none():
    model = compiled(num_images=12)
    for indices, message in (
        (np.arange(12) - 1, "numbers from 0"),
        (np.arange(12) + 0.5, "must be integers"),
        (np.arange(12)[:, None], "must be integers of shape"),
        (np.arange(6), "a number for each image"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit({"images": IMAGES, "indices": indices}, verbose=0)
    with pytest.raises(ValueError, match="needs targets, which `fit`"):
        model.evaluate(IMAGES)
