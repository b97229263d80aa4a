"""`FeatureHealth`; what all such callbacks do is in the test of the other."""

import warnings

import numpy as np
import pytest
from helpers import make_dino
from helpers import make_images
from helpers import make_mae

from keras_capi.callbacks import ClusteringHealth
from keras_capi.callbacks import FeatureHealth

pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(16, 16, 16)


def look(model, logs):
    """What a look at a model adds to the logs, and what it warns of."""
    callback = FeatureHealth(IMAGES, batch_size=8, patience=0)
    callback.set_model(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callback.on_epoch_end(0, logs)
    messages = [str(warning.message) for warning in caught]
    named = {m.split()[0] for m in messages if "Usual remedy" in m}
    return logs, named


def test_of_a_method_without_prototypes():
    logs, named = look(make_mae(), {"loss": 1.0})
    assert set(logs) == {
        "loss",
        "health_feature_deviation",
        "health_effective_rank",
    }
    assert 0.1 < logs["health_feature_deviation"] <= 1.0
    assert not named


def test_collapsed_features():
    model = make_mae()
    for weight in model.encoder.weights:
        weight.assign(np.zeros(weight.shape))
    logs, named = look(model, {"loss": 1.0})
    assert named == {"feature_deviation", "effective_rank"}
    assert logs["health_feature_deviation"] == 0


def test_of_the_targets_of_a_method_with_prototypes():
    model = make_dino()
    most = np.log(model.num_prototypes)
    for share, is_healthy in ((0.5, True), (0.0, False), (1.0, False)):
        logs, named = look(model, {"target_entropy": share * most})
        assert logs["health_prototype_entropy_share"] == pytest.approx(share)
        assert ("prototype_entropy_share" not in named) == is_healthy
    # Of held-out images, if there are some.
    logs, _ = look(
        model, {"target_entropy": most, "val_target_entropy": 0.5 * most}
    )
    assert logs["health_prototype_entropy_share"] == pytest.approx(0.5)


def test_in_fit():
    model = make_mae()
    history = model.fit(
        IMAGES,
        batch_size=8,
        epochs=2,
        callbacks=[FeatureHealth(IMAGES)],
        verbose=0,
    ).history
    assert len(history["health_effective_rank"]) == 2


def test_the_other_one_names_it():
    with pytest.raises(ValueError, match="use `FeatureHealth` for others"):
        ClusteringHealth(IMAGES).set_model(make_mae())
