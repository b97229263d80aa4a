"""Classifiers and segmenters on a backbone."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_model
from helpers import to_numpy
from helpers import weights_of

import keras_capi
from keras_capi.tasks import ImageClassifier
from keras_capi.tasks import ImageSegmenter


def make_labelled(count=24):
    """Images of which a half is bright; the label tells which half."""
    labels = np.arange(count, dtype="int32") % 2
    images = make_images(count, 16, 24)
    images[labels == 1, :, 12:] += 3.0
    images[labels == 0, :, :12] += 3.0
    masks = np.zeros((count, 16, 24), "int32")
    masks[labels == 1, :, 12:] = 1
    masks[labels == 0, :, :12] = 1
    return images, labels, masks


def make_optimizer(model):
    return keras_capi.optimizers.LayerDecayAdamW(
        1e-2, model.backbone.num_layers
    )


def fit(model, images, targets, epochs=6):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(make_optimizer(model), loss, metrics=["accuracy"])
    history = model.fit(images, targets, batch_size=8, epochs=epochs, verbose=0)
    return history.history


def make_longer_backbone(**arguments):
    """The second block of the predictor is of no use to a task."""
    return make_backbone(
        predictor_num_layers=2, drop_path_rate=0.1, **arguments
    )


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("pooling", ["global", "average", "attention"])
def test_classifier_learns(pooling, freeze):
    images, labels, _ = make_labelled()
    backbone = make_longer_backbone(predictor_hidden_dim=24)
    model = ImageClassifier(backbone, 3, pooling, freeze)
    before = weights_of(backbone)
    history = fit(model, images, labels)
    assert history["loss"][-1] < history["loss"][0]
    logits = model.predict(images, verbose=0)
    assert logits.shape == (24, 3)
    changed = {
        weight.path
        for weight, value in zip(backbone.weights, before, strict=True)
        if (to_numpy(weight) != value).any()
    }
    if freeze:
        assert not changed
        return
    assert any("encoder/block_0" in path for path in changed)
    assert not any("rotary" in path for path in changed)
    assert not any("predictor/block_1" in path for path in changed)
    uses_predictor = any("predictor/block_0" in path for path in changed)
    assert uses_predictor == (pooling == "global")


def test_segmenter_learns():
    images, _, masks = make_labelled()
    model = ImageSegmenter(make_longer_backbone(), num_classes=2)
    history = fit(model, images, masks)
    assert history["accuracy"][-1] > 0.9
    assert model.predict(images, verbose=0).shape == (24, 16, 24, 2)


def test_segmenter_interpolates_between_patches():
    model = ImageSegmenter(make_backbone(), num_classes=3)
    images = make_images(2, 8, 12)
    logits = to_numpy(model(images))
    assert logits.shape == (2, 8, 12, 3)
    patches = to_numpy(model.classifier(model.backbone(images)["feature_map"]))
    # In the middle of four patches is their mean; in the corner, one alone.
    np.testing.assert_allclose(logits[:, 0, 0], patches[:, 0, 0], atol=1e-5)
    middle = logits[:, 3:5, 3:5].mean(axis=(1, 2))
    np.testing.assert_allclose(
        middle, patches[:, :2, :2].mean(axis=(1, 2)), atol=1e-5
    )


@pytest.mark.parametrize("shape", [(16, 24, 3), (None, None, 3)], ids=str)
@pytest.mark.parametrize("kind", ["classifier", "segmenter"])
def test_functional(kind, shape):
    backbone = make_backbone()
    if kind == "classifier":
        model, expected = ImageClassifier(backbone, 5), (None, 5)
    else:
        model, expected = ImageSegmenter(backbone, 5), (None, *shape[:2], 5)
    inputs = keras.Input(shape)
    outputs = model(inputs)
    assert outputs.shape == expected
    images = make_images(2, 16, 24)
    np.testing.assert_allclose(
        keras.Model(inputs, outputs).predict(images, verbose=0),
        to_numpy(model(images)),
        atol=1e-5,
    )


@pytest.mark.usefixtures("untraced_once")
@pytest.mark.parametrize("make", ["classifier", "attention", "segmenter"])
def test_saved_alone(make, tmp_path):
    images, labels, masks = make_labelled()
    backbone = make_longer_backbone()
    if make == "segmenter":
        model, targets = ImageSegmenter(backbone, 2, dropout=0.1), masks
    elif make == "attention":
        model, targets = ImageClassifier(backbone, 2, "attention"), labels
    else:
        model, targets = ImageClassifier(backbone, 2, "global", True), labels
    fit(model, images, targets, epochs=1)
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), expected, atol=1e-5
    )
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    loaded.fit(images, targets, batch_size=8, verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    loaded.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), expected, atol=1e-5
    )


@pytest.mark.usefixtures("untraced_once")
@pytest.mark.parametrize("lora_first", [True, False])
def test_lora(lora_first, tmp_path):
    images, labels, _ = make_labelled()
    backbone = make_longer_backbone()
    if lora_first:
        backbone.enable_lora(2)
        model = ImageClassifier(backbone, 2)
    else:
        model = ImageClassifier(backbone, 2)
        backbone.enable_lora(2)
    names = {
        weight.path.rpartition("/")[2] for weight in model.trainable_weights
    }
    assert names == {"lora_kernel_a", "lora_kernel_b", "kernel", "bias"}
    patch_kernel = to_numpy(backbone.encoder.patch_embedding.kernel)
    before = to_numpy(backbone(images)["global"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(images, labels, batch_size=8, epochs=2, verbose=0)
    np.testing.assert_array_equal(
        to_numpy(backbone.encoder.patch_embedding.kernel), patch_kernel
    )
    after = to_numpy(backbone(images)["global"])
    assert np.abs(after - before).max() > 1e-3
    backbone.save_to_preset(tmp_path)
    merged = type(backbone).from_preset(tmp_path)
    np.testing.assert_allclose(
        to_numpy(merged(images)["global"]), after, atol=1e-4
    )


def test_lora_on_a_frozen_teacher(tmp_path):
    teacher = make_model(make_longer_backbone()).teacher
    teacher.save_to_preset(tmp_path)
    for backbone in (teacher, type(teacher).from_preset(tmp_path)):
        backbone.enable_lora(2)
        model = ImageClassifier(backbone, 2)
        names = {weight.name for weight in model.trainable_weights}
        assert names == {"lora_kernel_a", "lora_kernel_b", "kernel", "bias"}


def test_unfreezing_after_a_probe(tmp_path):
    images, labels, _ = make_labelled()
    backbone = make_longer_backbone()
    model = ImageClassifier(backbone, 2, freeze_backbone=True)
    fit(model, images, labels, epochs=1)
    model.freeze_backbone = False
    fit(model, images, labels, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for unfrozen in (model, loaded):
        assert not unfrozen.freeze_backbone
        before = weights_of(unfrozen.backbone)
        fit(unfrozen, images, labels, epochs=1)
        weights = unfrozen.backbone.weights
        changed = {
            weight.path
            for weight, value in zip(weights, before, strict=True)
            if (to_numpy(weight) != value).any()
        }
        assert any("encoder/block_0" in path for path in changed)
        assert not any("rotary" in path for path in changed)
        assert not any("predictor/block_1" in path for path in changed)


@pytest.mark.parametrize("label", [-1, 2, 255])
def test_labels_out_of_range(label):
    images, labels, masks = make_labelled(8)
    masks[0, 0, 0] = labels[3] = label
    message = f"integers from 0 to `num_classes` - 1.*{label}"
    for model, targets in (
        (ImageClassifier(make_backbone(num_layers=2), 2), labels),
        (ImageSegmenter(make_backbone(num_layers=2), 2), masks),
    ):
        with pytest.raises(ValueError, match=message):
            fit(model, images, targets)
        with pytest.raises(ValueError, match=message):
            model.evaluate(images, targets)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_out_of_range_in_data_sets(label):
    images, labels, _ = make_labelled(8)
    labels[3] = label
    model = ImageClassifier(
        make_backbone(num_layers=2), 2, activation="softmax"
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    batches = ((images[i : i + 4], labels[i : i + 4]) for i in (0, 4))
    # Of ours, torch and TensorFlow.
    message = "not finite at step 1.*labels|out of bounds|label value"
    with pytest.raises(Exception, match=message):
        model.fit(batches, shuffle=False, verbose=0)


def test_labels_that_are_no_integers():
    images, labels, _ = make_labelled(8)
    model = ImageClassifier(make_backbone(num_layers=2), 2)
    with pytest.raises(ValueError, match="integers from 0.*to 1.5"):
        fit(model, images, labels + 0.5)
    fit(model, images, labels.astype("float32"), epochs=1)


@pytest.mark.usefixtures("untraced_once")
@pytest.mark.parametrize("kind", ["classes", "pixels"])
def test_labels_that_do_not_belong_to_the_images(kind):
    images = make_images()
    if kind == "classes":
        model = keras_capi.tasks.ImageClassifier(make_backbone(), 3)
        labels, one_hot = np.arange(4) % 3, np.eye(3)[[0, 1, 2, 0]]
        wrong = np.zeros((4, 2, 2), "int32")
    else:
        model = keras_capi.tasks.ImageSegmenter(make_backbone(), 3)
        labels = np.zeros((4, 16, 16), "int32")
        one_hot, wrong = np.eye(3)[labels], labels[:, ::2, ::2]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    for bad, message in (
        (None, "Images must have labels"),
        (one_hot, "CategoricalCrossentropy`. Received: labels of shape"),
        (wrong, "Labels must have shape"),
    ):
        for method in (model.fit, model.evaluate, model.train_on_batch):
            with pytest.raises(ValueError, match=message):
                method(images, bad)
        with pytest.raises(ValueError, match=message):
            model.fit(images, labels, validation_data=(images, bad))
    with pytest.raises(ValueError, match="must be one array of shape"):
        model.fit({"images": images}, labels)
    if kind == "pixels":
        with pytest.raises(ValueError, match="give `sample_weight`"):
            model.fit(images, labels, class_weight={0: 1.0, 1: 1.0, 2: 1.0})
    assert model.optimizer.iterations == 0


def test_ignored_labels():
    images, _, masks = make_labelled(8)
    masks[0, 0, 0] = 255
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=255
    )
    for only in (loss, [loss]):
        model = ImageSegmenter(make_backbone(), 2)
        model.compile("sgd", only)
        history = model.fit(images, masks, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        batches = ((images[i : i + 4], masks[i : i + 4]) for i in (0, 4))
        history = model.fit(
            batches, steps_per_epoch=2, shuffle=False, verbose=0
        ).history
        assert np.isfinite(history["loss"]).all()


LOSSES = keras.losses
# A head's size, a loss, and integer labels that it takes.
LABELS = {
    "binary": (1, LOSSES.BinaryCrossentropy(from_logits=True), [[0], [1]]),
    "binary, by name": (1, "binary_crossentropy", [[1], [0]]),
    "regression": (1, "mse", [[1], [70]]),
    "huber": (1, LOSSES.Huber(), [[-5], [300]]),
    "one-hot": (2, LOSSES.CategoricalCrossentropy(True), [[0, 1], [1, 0]]),
    "several labels": (2, LOSSES.BinaryCrossentropy(True), [[1, 1], [0, 0]]),
    "own": (2, lambda y, logits: keras.ops.mean(logits, -1), [7, 8]),
}


@pytest.mark.parametrize("name", LABELS)
def test_integer_labels_that_are_no_classes(name):
    num_classes, loss, labels = LABELS[name]
    model = ImageClassifier(
        make_backbone(),
        num_classes,
        freeze_backbone=True,
        activation="sigmoid" if isinstance(loss, str) else None,
    )
    # Labels are looked at before a step, which TensorFlow would trace for long.
    eagerly = keras.backend.backend() == "tensorflow"
    model.compile("sgd", loss, run_eagerly=eagerly)
    labels = np.array(labels * 2)
    model.fit(make_images(), labels, verbose=0)
    model.evaluate(make_images(), labels, verbose=0)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        LOSSES.sparse_categorical_crossentropy,
        LOSSES.SparseCategoricalCrossentropy(from_logits=True),
        [LOSSES.SparseCategoricalCrossentropy(name="own")],
    ],
)
def test_integer_labels_that_are_classes(loss):
    model = ImageClassifier(make_backbone(), 2, activation="softmax")
    model.compile("sgd", loss)
    labels = np.array([0, 1, 2, 1])
    for method in (
        model.fit,
        model.evaluate,
        model.train_on_batch,
        model.test_on_batch,
    ):
        for wrong in (labels, labels.astype("float32")):
            with pytest.raises(ValueError, match="labels from 0.* to 2"):
                method(make_images(), wrong)
    before = weights_of(model)
    good = make_images(), labels % 2
    for kind in (tuple, list):
        with pytest.raises(ValueError, match="labels from 0 to 2"):
            model.fit(
                *good, validation_data=kind((make_images(), labels)), verbose=0
            )
    with pytest.raises(ValueError, match="one array.*Received: a list of 4"):
        model.fit(make_images(), list(labels % 2))
    # Not after the first epoch.
    for weight, value in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_images_without_labels():
    """Keras says "Invalid dtype: object", whatever it was given."""
    model = ImageClassifier(make_backbone(), 2, freeze_backbone=True)
    model.compile("sgd", LOSSES.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = make_images(), np.array([0, 1, 0, 1])
    data_set = keras_capi.data.RandomCrops(list(images), 16, 2, 1)
    for call in (
        lambda: model.fit(images, verbose=0),
        lambda: model.fit(data_set, verbose=0),
        lambda: model.fit(images, labels, validation_data=(images,), verbose=0),
        lambda: model.evaluate(images, verbose=0),
        lambda: model.train_on_batch(images),
        lambda: model.test_on_batch(images),
    ):
        with pytest.raises(ValueError, match="Images must have labels"):
            call()


@pytest.mark.parametrize("dtype", [str, object])
def test_names_of_classes_as_labels(dtype):
    model = ImageClassifier(make_backbone(), 2, freeze_backbone=True)
    model.compile("sgd", LOSSES.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="number of the class, not its name"):
        model.fit(make_images(), np.array(["cat", "dog"] * 2, dtype), verbose=0)


def test_bad_arguments():
    backbone = make_backbone()
    with pytest.raises(ValueError, match="`pooling` must be one of.*'max'"):
        ImageClassifier(backbone, 2, "max")
    with pytest.raises(ValueError, match="`num_classes` must be a positive"):
        ImageClassifier(backbone, 0)
    with pytest.raises(ValueError, match="`num_classes` must be a positive"):
        ImageSegmenter(backbone, 2.5)
    with pytest.raises(ValueError, match="must be a `keras_capi.enc"):
        ImageSegmenter(keras.Sequential(), 2)


CROSS_ENTROPY = LOSSES.SparseCategoricalCrossentropy


@pytest.mark.parametrize("make", [ImageClassifier, ImageSegmenter])
@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        LOSSES.binary_crossentropy,
        [CROSS_ENTROPY()],
        LOSSES.CategoricalCrossentropy(),
    ],
)
def test_losses_that_take_logits_for_probabilities(make, loss):
    model = make(make_backbone(), 2)
    with pytest.warns(UserWarning, match="from_logits.*loss=.*crossentropy"):
        model.compile("sgd", loss)
    model.compile("sgd", CROSS_ENTROPY(from_logits=True))
    model.compile("sgd", "mse")
    ImageClassifier(make_backbone(), 2, activation="softmax").compile(
        "sgd", loss
    )


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (
            ImageClassifier,
            {"pooling": "attention", "batch_normalization": True},
        ),
        (ImageSegmenter, {}),
    ],
)
def test_rematerialisation_changes_neither_numbers_nor_state(make, arguments):
    images, labels, masks = make_labelled(4)
    targets = labels if make is ImageClassifier else masks
    results = []
    for mode in (None, "full"):
        keras.utils.set_random_seed(0)
        with keras.RematScope(mode=mode):
            backbone = make_backbone()
            model = make(backbone, 3, dropout=0.5, **arguments)
        model.compile("sgd", CROSS_ENTROPY(from_logits=True))
        loss = model.train_on_batch(images, targets)
        results.append([loss, *map(to_numpy, model.non_trainable_variables)])
    for again, expected in zip(*results, strict=True):
        np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-7)
