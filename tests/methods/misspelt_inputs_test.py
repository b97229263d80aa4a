"""Entries of a dictionary that a method does not know are refused."""

import keras
import numpy as np
import pytest
from helpers import make_images
from methods.data_set_inputs_test import IMAGES
from methods.data_set_inputs_test import NOISE
from methods.data_set_inputs_test import PAIRS
from methods.data_set_inputs_test import VIEW_MASK
from methods.data_set_inputs_test import VIEWS
from methods.data_set_inputs_test import make

import keras_capi

LABELS = np.zeros(2, "int32")
TURNS = np.zeros((2, 2), "int32")


def make_deepcluster_v1(**arguments):
    return keras_capi.methods.DeepClusterV1(
        keras_capi.encoders.ViT(4, 1, 16, 2, image_shape=(16, 16, 3)),
        **arguments,
    )


def refused(model, inputs, message="and no others. .*Received"):
    with pytest.raises(ValueError, match=message):
        model.check_inputs(inputs)
    tensors = {k: keras.ops.convert_to_tensor(x) for k, x in inputs.items()}
    with pytest.raises(ValueError, match=message):
        model.prepare(tensors, True)


@pytest.mark.parametrize(
    "name",
    [
        "AIM",
        "BEiT",
        "DINO",
        "DINOv2",
        "DenoisingAutoencoder",
        "DiscreteVAE",
        "IBOT",
        "IJEPA",
        "MAE",
        "RelativePosition",
        "RotationPrediction",
        "SimCLR",
        "SimMIM",
        "SwAV",
    ],
)
def test_labels_beside_images(name):
    refused(make(name), {"images": IMAGES, "label": LABELS})


@pytest.mark.parametrize(
    "name, inputs",
    [
        ("DINO", {"images": IMAGES, "global_view": VIEWS}),
        ("DINO", {"global_views": VIEWS, "local_view": VIEWS}),
        ("DINO", {"global_views": VIEWS, "mask": VIEW_MASK}),
        ("DINO", {"images": IMAGES, "local_views": VIEWS}),
        ("IBOT", {"global_views": VIEWS, "masks": VIEW_MASK}),
        ("DINOv2", {"global_views": VIEWS, "masks": VIEW_MASK}),
        ("SimCLR", {"global_views": VIEWS, "mask": VIEW_MASK}),
        ("SwAV", {"global_views": VIEWS, "indices": LABELS}),
        ("RelativePosition", {"patches": VIEWS, "pair": PAIRS}),
        ("RelativePosition", {"images": IMAGES, "pairs": PAIRS}),
        ("RotationPrediction", {"images": IMAGES, "label": LABELS}),
        (
            "RotationPrediction",
            {"rotated_images": VIEWS, "labels": TURNS, "turns": TURNS},
        ),
        ("DiscreteVAE", {"images": IMAGES, "noises": NOISE}),
    ],
)
def test_other_names(name, inputs):
    refused(make(name), inputs)


def test_numbered_images():
    for model, views in (
        (make("DeepCluster"), "global_views"),
        (make_deepcluster_v1(), "views"),
    ):
        numbered = {"images": IMAGES, "indices": np.arange(2)}
        model.check_inputs(numbered)
        refused(model, {**numbered, "label": LABELS})
        refused(model, {**numbered, views[:-1]: VIEWS})


def test_gray_images():
    model = keras_capi.methods.Colorization(make("DINO").student)
    gray = make_images(2)
    inputs = {"corrupted_images": gray, "colors": np.zeros((2, 4, 4, 2))}
    refused(model, {**inputs, "color": LABELS})
    refused(model, {"images": gray, "color": LABELS})


@pytest.mark.parametrize(
    "name, inputs",
    [
        ("DINO", {"global_views": VIEWS, "third_views": VIEWS}),
        ("SwAV", {"images": IMAGES, "global_views": VIEWS}),
        ("IBOT", {"global_views": VIEWS, "mask": VIEW_MASK}),
        ("RelativePosition", {"images": IMAGES}),
        (
            "RotationPrediction",
            {"images": IMAGES, "rotated_images": VIEWS, "labels": TURNS},
        ),
        ("DiscreteVAE", {"images": IMAGES, "noise": NOISE}),
    ],
)
def test_known_names_are_taken(name, inputs):
    make(name).check_inputs(inputs)
    assert make(name).prepare(inputs, True)


def test_the_training_is_not_begun():
    model = make("SimCLR")
    model.compile("sgd")
    for method in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match="may have the keys"):
            method({"images": IMAGES, "views": VIEWS, "labels": LABELS})
