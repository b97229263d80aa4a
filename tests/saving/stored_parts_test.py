"""A file of more layers than the model has is refused."""

import json
import zipfile

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_model
from helpers import to_numpy

import keras_capi
from keras_capi.models import CAPIBackbone
from keras_capi.models import CAPIClassifier
from keras_capi.models import CAPISegmenter
from keras_capi.models import FeatureExtractor


def make_encoder(num_layers=2):
    return keras_capi.models.RotaryViT(4, num_layers, 16, 2)


def make_queue(queue_size):
    return make_model(
        make_backbone(image_shape=(16, 16, 3)),
        clustering=keras_capi.layers.OnlineClustering(8, queue_size=queue_size),
    )


# What is saved, and what its weights do not fit.
PAIRS = {
    "blocks": (
        lambda: make_backbone(num_layers=2),
        make_backbone,
        "encoder/blocks/transformer_block_1",
    ),
    "the predictor's blocks": (
        lambda: make_backbone(predictor_num_layers=3),
        lambda: make_backbone(predictor_num_layers=2),
        "blocks/transformer_block_2",
    ),
    "an encoder": (
        make_encoder,
        lambda: make_encoder(1),
        "blocks/transformer_block_1",
    ),
    "CAPI": (
        lambda: make_model(make_backbone(num_layers=12)),
        lambda: make_model(make_backbone(num_layers=11)),
        "encoder/blocks/transformer_block_11",
    ),
    "a queue": (lambda: make_queue(8), lambda: make_queue(0), "queue"),
    "a pooling": (
        lambda: CAPIClassifier(make_backbone(), 2, "attention"),
        lambda: CAPIClassifier(make_backbone(), 2, "average"),
        "attention_pooling",
    ),
    "a segmenter": (
        lambda: CAPISegmenter(make_backbone(num_layers=2), 2),
        lambda: CAPISegmenter(make_backbone(), 2),
        "backbone/encoder/blocks/transformer_block_1",
    ),
    "a head": (
        lambda: CAPISegmenter(make_backbone(), 2),
        lambda: FeatureExtractor(make_backbone()),
        "classifier",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_more_layers_in_the_file(name, tmp_path):
    make_saved, make_loading, part = PAIRS[name]
    file = tmp_path / "saved.weights.h5"
    make_saved().save_weights(file)
    with pytest.raises(ValueError, match=f"must have all layers.*{part}"):
        make_loading().load_weights(file)
    make_saved().load_weights(file)


def test_more_layers_in_shards(tmp_path):
    file = tmp_path / "saved.weights.json"
    make_encoder().save_weights(file, max_shard_size=1e-5)
    assert len(list(tmp_path.iterdir())) > 2
    with pytest.raises(ValueError, match="transformer_block_1"):
        make_encoder(1).load_weights(file)
    make_encoder().load_weights(file)


@pytest.mark.parametrize(
    "change",
    [{"num_layers": 2}, {"predictor_num_layers": 1}],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize(
    "make", [CAPIBackbone, CAPIClassifier, FeatureExtractor]
)
def test_fewer_layers_in_the_config(make, change, tmp_path):
    """As if somebody had edited the config in a `.keras` file."""
    model = make_backbone(num_layers=3, predictor_num_layers=2)
    if make is CAPIClassifier:
        model = CAPIClassifier(model, 2)
    elif make is FeatureExtractor:
        model = FeatureExtractor(model)
    model.save(tmp_path / "model.keras")
    with (
        zipfile.ZipFile(tmp_path / "model.keras") as saved,
        zipfile.ZipFile(tmp_path / "edited.keras", "w") as edited,
    ):
        for name in saved.namelist():
            content = saved.read(name)
            if name == "config.json":
                config = json.loads(content)
                arguments = config["config"]
                if make is not CAPIBackbone:
                    arguments = arguments["backbone"]["config"]
                arguments.update(change)
                content = json.dumps(config)
            edited.writestr(name, content)
    with pytest.raises(ValueError, match="must have all layers"):
        keras.saving.load_model(tmp_path / "edited.keras")
    keras.saving.load_model(tmp_path / "model.keras")


def test_inside_a_model_of_the_user(tmp_path):
    def make(num_layers):
        images = keras.Input((16, 16, 3))
        features = make_backbone(num_layers=num_layers)(images)["global"]
        return keras.Model(images, keras.layers.Dense(2)(features))

    make(3).save_weights(tmp_path / "saved.weights.h5")
    with pytest.raises(ValueError, match="transformer_block_2"):
        make(2).load_weights(tmp_path / "saved.weights.h5")


def test_training_state_may_be_left_out(tmp_path):
    """The optimizer's state, metrics, and the state of stochastic depth."""
    images = make_images()
    file = tmp_path / "saved.weights.h5"
    trained = CAPIClassifier(make_backbone(drop_path_rate=0.3), 2, dropout=0.1)
    trained.compile("adam", "mse", metrics=["mae"])
    trained.fit(images, np.zeros((4, 2)), verbose=0)
    trained.save_weights(file)
    loaded = CAPIClassifier(make_backbone(), 2)
    loaded.load_weights(file)
    np.testing.assert_array_equal(
        to_numpy(loaded(images)), to_numpy(trained(images))
    )


def test_mismatches_can_be_skipped(tmp_path):
    make_encoder().save_weights(tmp_path / "saved.weights.h5")
    with pytest.warns(UserWarning, match="must have all layers"):
        make_encoder(1).load_weights(
            tmp_path / "saved.weights.h5", skip_mismatch=True
        )
