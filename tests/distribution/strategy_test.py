"""Models that were made under a strategy, used outside of its scope."""

import keras
import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_model

import keras_capi

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's strategies"
)


@pytest.fixture
def strategy():
    import tensorflow as tf

    # Variables on one device are those of a strategy all the same.
    return tf.distribute.MirroredStrategy(["CPU:0"])


def test_a_checkpoint_outside_of_the_scope(strategy, tmp_path, capsys):
    with strategy.scope():
        model = keras_capi.models.CAPIClassifier(
            make_backbone(), num_classes=3, activation="softmax"
        )
        model.compile(
            "adamw", "sparse_categorical_crossentropy", jit_compile=False
        )
    images, labels = make_images(4), np.arange(4) % 3
    for epochs in (1, 2):
        checkpoint = keras_capi.callbacks.Checkpoint(tmp_path)
        model.fit(
            images, labels, epochs=epochs, callbacks=[checkpoint], verbose=0
        )
    assert "Resuming from epoch 2, batch 0." in capsys.readouterr().out
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 2


def test_single_batches_outside_of_the_scope(strategy):
    with strategy.scope():
        model = make_model(compile_arguments={"jit_compile": False})
    logs = model.train_on_batch(make_images(4), return_dict=True)
    assert np.isfinite(logs["loss"])
