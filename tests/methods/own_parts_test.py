"""Layers that a user has written, without a `build`."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_indices

from keras_capi.encoders import ViT
from keras_capi.methods import CAPI
from keras_capi.methods import DINO
from keras_capi.methods import Colorization
from keras_capi.methods import ContextEncoder
from keras_capi.methods import DeepCluster
from keras_capi.methods import RelativePosition
from keras_capi.methods import SimCLR
from keras_capi.methods import SwAV


@keras.saving.register_keras_serializable(package="tests")
class Scaled(keras.layers.Layer):
    """Two views, one of them through a part with weights."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization(trainable=False)

    def call(self, images):
        views = [self.norm(images), keras.ops.flip(images, axis=2)]
        return {"global_views": keras.ops.stack(views, axis=1)}


class Broken(keras.layers.Layer):
    def call(self, images):
        raise TypeError("no idea")


def make_encoder():
    return ViT(4, 1, 16, 2, image_shape=(16, 16, 3))


def make_compiled():
    model = SimCLR(make_encoder(), views=Scaled())
    model.compile(model.published_optimizer(16, batch_size=2))
    return model


# Keras builds layers that it reads, and warns of those without a `build`.
@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer 'scaled'")
def test_own_views_are_built_before_the_training(tmp_path):
    model = make_compiled()
    images = make_images(4, 16, 16)
    history = model.fit(images, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    model.save(tmp_path / "model.keras")
    clone = keras.saving.load_model(tmp_path / "model.keras")
    assert all(layer.built for layer in clone._flatten_layers())
    assert np.isfinite(clone.train_on_batch(images)[0])


@pytest.mark.parametrize(
    "method", [DINO, DeepCluster, RelativePosition, SimCLR, SwAV]
)
def test_views_that_cannot_be_built_say_so(method):
    with pytest.raises(
        ValueError,
        match=r"`views` must be built.*\(None, 16, 16, 3\).*Received: Broken",
    ):
        method(make_encoder(), views=Broken())
    with pytest.raises(ValueError, match="`views` must be a layer.*function"):
        method(make_encoder(), views=lambda images: images)


@keras.saving.register_keras_serializable(package="tests")
class Named(keras.layers.Layer):
    """Gives its views a name that no method knows."""

    def call(self, images):
        return {"views": images}


@pytest.mark.parametrize(
    "views, received",
    [
        (keras.layers.Rescaling(2.0), "Rescaling, which returns float32"),
        (Named(), "Named, which returns {'views': 'float32 of shape"),
    ],
)
@pytest.mark.parametrize(
    "method, name",
    [
        (DINO, "global_views"),
        (RelativePosition, "patches"),
        (SimCLR, "global_views"),
        (SwAV, "global_views"),
    ],
)
def test_views_of_another_form(method, name, views, received):
    arguments = {"num_prototypes": 8} if method in (DINO, SwAV) else {}
    model = method(make_encoder(), views=views, **arguments)
    message = f"`views` must return a dictionary of `{name}`.*{received}"
    with pytest.raises(ValueError, match=message):
        model.prepare({"images": make_images(2, 16, 16)}, True)


@pytest.mark.parametrize(
    "method, name, kind",
    [
        (Colorization, "corruption", "ColorRemoval"),
        (Colorization, "targets", "ColorTargets"),
        (ContextEncoder, "discriminator", "Discriminator"),
        (DINO, "head", "DINOHead"),
    ],
)
def test_parts_of_another_class(method, name, kind):
    """Of which more than the call is used."""
    for part in (keras.layers.Dense(8), "none"):
        with pytest.raises(
            ValueError,
            match=f"`{name}` must be a `keras_capi.layers.{kind}`.*"
            f"Received: {type(part).__name__}",
        ):
            method(make_encoder(), **{name: part})


@keras.saving.register_keras_serializable(package="tests")
class Head(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(12, activation="relu")
        self.outputs = keras.layers.Dense(8)

    def call(self, x):
        return self.outputs(self.hidden(x))


@pytest.mark.filterwarnings(
    "ignore:`build\\(\\)` was called on layer '(head|scaled)"
)
@pytest.mark.parametrize("method", [DeepCluster, SimCLR, SwAV])
def test_own_heads_are_built_before_the_training(method, tmp_path):
    model = method(make_encoder(), views=Scaled(), head=Head())
    model.compile(model.published_optimizer(16, batch_size=2))
    images = make_images(4, 16, 16)
    before = [x.copy() for x in model.head.get_weights()]
    assert len(before) == 4
    history = model.fit(images, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert not np.array_equal(before[0], model.head.get_weights()[0])
    model.save(tmp_path / "model.keras")
    clone = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(
        model.head.get_weights(), clone.head.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(clone.train_on_batch(images)[0])


def test_own_projections_are_built_before_the_training():
    model = CAPI(make_backbone(), num_clusters=4, projection=Head())
    assert len(model.projection.trainable_weights) == 4
    # The teacher's, too.
    assert len(model.moving_average.pairs) == 3
    for ours, average in model.moving_average.pairs:
        assert len(ours.weights) == len(average.weights)
    model.compile("sgd")
    inputs = {"images": make_images(), **make_indices()}
    assert np.isfinite(model.train_on_batch(inputs)[0])


def test_heads_that_cannot_be_built_say_so():
    with pytest.raises(ValueError, match="`head` must be built.*Broken"):
        SimCLR(make_encoder(), head=Broken())
    with pytest.raises(ValueError, match="`head` must be a layer.*relu"):
        SimCLR(make_encoder(), head="relu")
