import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_model
from helpers import to_numpy

from keras_capi.callbacks import KNNEvaluation
from keras_capi.evaluation import knn_classification
from keras_capi.evaluation import knn_segmentation
from keras_capi.evaluation import patch_features

pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(24, 16, 16)
LABELS = np.arange(24) % 3
MASKS = np.random.default_rng(0).integers(0, 3, (24, 16, 16))


def make_callback(labels, **arguments):
    return KNNEvaluation(
        IMAGES[:16], labels[:16], IMAGES[16:], labels[16:], 3, **arguments
    )


@pytest.mark.parametrize("network", ["teacher", "student", None])
def test_scores_the_network_of_that_moment(network):
    model = make_model()
    callback = make_callback(LABELS, network=network, every=2)
    history = model.fit(
        IMAGES, batch_size=24, epochs=4, callbacks=[callback], verbose=0
    ).history
    assert len(history["knn_accuracy"]) == 2
    asked = getattr(model, network or "encoder")
    features = to_numpy(asked(IMAGES)["feature_map"])
    features = features.mean(axis=(1, 2))
    expected = knn_classification(
        features[:16],
        LABELS[:16],
        features[16:],
        LABELS[16:],
        (3,),
        ("cosine",),
    )
    assert history["knn_accuracy"][-1] == expected["accuracy"]


def test_segmentation():
    model = make_model()
    callback = make_callback(MASKS, metric="l2", ignore_labels=(2,))
    callback.set_model(model)
    logs = {}
    callback.on_epoch_end(0, logs)
    features = to_numpy(model.teacher(IMAGES)["feature_map"])
    expected = knn_segmentation(
        features[:16],
        MASKS[:16],
        features[16:],
        MASKS[16:],
        (2,),
        (3,),
        ("l2",),
    )
    assert logs == {
        "knn_mean_iou": pytest.approx(expected["mean_iou"]),
        "knn_pixel_accuracy": pytest.approx(expected["pixel_accuracy"]),
    }


def test_any_model():
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(8, 4, 4)(inputs))
    callback = make_callback(LABELS)
    callback.set_model(model)
    assert 0.0 <= callback.evaluate()["knn_accuracy"] <= 1.0
    assert patch_features(model, IMAGES).shape == (24, 4, 4, 8)
    pooled = keras.Model(inputs, keras.layers.Flatten()(inputs))
    with pytest.raises(ValueError, match="must return features of shape"):
        patch_features(pooled, IMAGES)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`network` must be one of"):
        make_callback(LABELS, network="head")
    with pytest.raises(ValueError, match="Labels must have shape"):
        make_callback(MASKS[..., 0])
    with pytest.raises(ValueError, match="metric='l3'"):
        make_callback(LABELS, metric="l3")
    with pytest.raises(ValueError, match="`train_labels` must be integers"):
        make_callback(LABELS / 2)
    with pytest.raises(ValueError, match="`train_labels` must have a label"):
        make_callback(LABELS[:10])
    for labels in (LABELS, MASKS):
        with pytest.raises(ValueError, match="0 or more.*Received: -1"):
            make_callback(labels.astype(int) - 1)
    with pytest.raises(ValueError, match="labels that are not ignored"):
        make_callback(MASKS, ignore_labels=(0, 1, 2))
    with pytest.raises(ValueError, match="`train_images` must be finite"):
        KNNEvaluation(IMAGES * np.nan, LABELS, IMAGES, LABELS)


def test_few_images_ask_all_of_them():
    callback = KNNEvaluation(IMAGES[:4], LABELS[:4], IMAGES[4:], LABELS[4:])
    callback.set_model(make_model())
    assert 0.0 <= callback.evaluate()["knn_accuracy"] <= 1.0


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (IMAGES[:, :15], LABELS, "divisible by the patch size"),
        (IMAGES[..., :1], LABELS, "must have 3 channels"),
        (IMAGES[:, :12], MASKS[:, :12, :10], "`train_labels` must have"),
        (np.uint8(IMAGES), LABELS, "must be floating point"),
    ],
)
def test_what_does_not_suit_the_model_is_said_when_fit_starts(
    images, labels, message
):
    model = make_model()
    with pytest.raises(ValueError, match=message):
        callback = KNNEvaluation(images, labels, images, labels)
        model.fit(IMAGES, callbacks=[callback], verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_a_model_without_a_teacher():
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(8, 4, 4)(inputs))
    with pytest.raises(ValueError, match="`network` must be a part"):
        make_callback(LABELS, network="teacher").set_model(model)
