import warnings

import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_model
from helpers import to_numpy
from keras import ops

from keras_capi.callbacks import ClusteringHealth

pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(32, 16, 16)
NAMES = {
    "dead_prototypes",
    "usage_share",
    "target_entropy_share",
    "feature_deviation",
    "effective_rank",
    "positional_information",
    "prediction_gain_share",
}


def warned(model, logs=None):
    """What a look at a model warns of."""
    callback = ClusteringHealth(IMAGES, batch_size=16, patience=0)
    callback.set_model(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callback.on_epoch_end(0, logs or {"capi_loss": 0.5})
    return {message.split()[0] for message in remedies(caught)}


def remedies(caught):
    messages = [str(warning.message) for warning in caught]
    return [message for message in messages if "Usual remedy" in message]


def make_healthy():
    return make_model(num_clusters=8)


def test_healthy():
    assert warned(make_healthy()) == set()


def test_a_dead_cluster():
    model = make_healthy()
    bias = np.zeros(8, "float32")
    bias[3] = -100.0
    model.clustering.bias.assign(bias)
    assert warned(model) == {"dead_prototypes"}


def test_constant_features():
    model = make_healthy()
    for weight in model.teacher.encoder.patch_embedding.weights:
        weight.assign(np.zeros(weight.shape))
    for block in model.teacher.encoder.blocks:
        # Without what attention knows of positions.
        kernel = block.attention.output_projection.kernel
        kernel.assign(np.zeros(kernel.shape))
    embedding = model.teacher.encoder.patch_embedding
    embedding.bias.assign(np.linspace(-1, 1, 16))
    assert {"feature_deviation", "target_entropy_share"} <= warned(model)


def test_features_of_the_position_only():
    model = make_healthy()
    generator = np.random.default_rng(0)
    tokens = generator.normal(size=(1, 16, 16)).astype("float32")

    def embed(images, visible_indices=None):
        return ops.repeat(tokens, ops.shape(images)[0], axis=0)

    model.teacher.encoder.patch_embedding.call = embed
    assert "positional_information" in warned(model)


def test_no_gain():
    expected = {"prediction_gain_share"}
    assert warned(make_healthy(), {"capi_loss": 2.2}) == expected
    logs = {"capi_loss": 0.5, "val_capi_loss": 2.2}
    assert warned(make_healthy(), logs) == expected


def test_in_fit():
    callback = ClusteringHealth(IMAGES, batch_size=16, every=2, patience=10)
    states = {}
    for name, callbacks in (("with", [callback]), ("without", [])):
        keras.utils.set_random_seed(1)
        model = make_model(num_clusters=8)
        # Torch shuffles by a global state, which `predict` moves on too.
        history = model.fit(
            IMAGES,
            batch_size=16,
            epochs=4,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        ).history
        states[name] = [to_numpy(weight) for weight in model.weights]
        if callbacks:
            measured = {x for x in history if x.startswith("health_")}
            assert measured == {f"health_{name}" for name in NAMES}
            assert len(history["health_usage_share"]) == 2
    # Looking does not change the training.
    for first, second in zip(*states.values(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_warns_once_until_healthy_again():
    model = make_healthy()
    callback = ClusteringHealth(IMAGES, batch_size=16, patience=2)
    callback.set_model(model)
    for epoch, loss, warns in (
        (0, 9.0, False),
        (1, 9.0, False),
        (2, 9.0, True),
        (3, 9.0, False),
        (4, 0.1, False),
        (5, 9.0, True),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            callback.on_epoch_end(epoch, {"capi_loss": loss})
        messages = remedies(caught)
        assert bool(messages) == warns
        if warns:
            assert "prediction_gain_share is -" in messages[0]


def test_bad_arguments():
    with pytest.raises(ValueError, match="`every` must be a positive"):
        ClusteringHealth(IMAGES, every=0)
    with pytest.raises(ValueError, match="`patience` must be 0 or"):
        ClusteringHealth(IMAGES, patience=-1)
    with pytest.raises(ValueError, match="`images` must be an array"):
        ClusteringHealth(IMAGES[:0])
    with pytest.raises(ValueError, match="`images` must be finite"):
        ClusteringHealth(IMAGES + np.inf)


def test_what_does_not_suit_the_model_is_said_when_fit_starts():
    model = make_model()
    with pytest.raises(ValueError, match="divisible by the patch size"):
        callbacks = [ClusteringHealth(IMAGES[:, :15])]
        model.fit(IMAGES, callbacks=callbacks, verbose=0)
    assert int(model.optimizer.iterations) == 0
    with pytest.raises(ValueError, match="is for a `keras_capi.models.CAPI`"):
        ClusteringHealth(IMAGES).set_model(model.student)
