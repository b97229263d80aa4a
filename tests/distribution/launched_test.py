"""Processes that a launcher has started, but that train by themselves."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import weights_of

import keras_capi

RULE = "has started must train one model together.*RANK=1, WORLD_SIZE=2"


@pytest.fixture
def launched(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")


@pytest.mark.parametrize("make", [make_model, make_mae])
@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_copies_are_not_trained(make, method, launched):
    model = make()
    former = weights_of(model)
    with pytest.raises(RuntimeError, match=RULE):
        getattr(model, method)(make_images())
    for now, before in zip(weights_of(model), former, strict=True):
        np.testing.assert_array_equal(now, before)


def test_fine_tuning_is_training(launched):
    model = keras_capi.models.CAPIClassifier(make_backbone(), num_classes=3)
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    with pytest.raises(RuntimeError, match=RULE):
        model.fit(make_images(4), np.arange(4) % 3)


def test_what_trains_nothing_may_run_alone(launched):
    """Processes may each describe or judge a part of the images."""
    model = make_model()
    model.predict(make_images(), verbose=0)
    model.evaluate(make_images(), verbose=0)


@pytest.mark.parametrize(
    "variables",
    [{"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "1"}, {"WORLD_SIZE": "2"}],
    ids=str,
)
def test_a_single_process_trains(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    make_model().train_on_batch(make_images())


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="torch has process groups"
)
def test_a_group_of_one_is_a_choice(launched):
    import torch.distributed as dist

    dist.init_process_group(
        "gloo", store=dist.HashStore(), rank=0, world_size=1
    )
    try:
        make_model().train_on_batch(make_images())
    finally:
        dist.destroy_process_group()
