"""Where the logs of each step are read: beside the training, if possible."""

import threading

import keras
import pytest
from helpers import make_images
from helpers import make_model

import keras_capi


class _Recorder(keras.callbacks.Callback):
    async_safe = True

    def __init__(self):
        super().__init__()
        self.threads = set()

    def on_train_batch_end(self, batch, logs=None):
        self.threads.add(threading.current_thread())


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_training_waits_for_no_logs_but_with_a_checkpoint(
    has_checkpoint, tmp_path
):
    recorder = _Recorder()
    callbacks = [recorder]
    if has_checkpoint:
        callbacks.append(keras_capi.callbacks.Checkpoint(tmp_path))
    make_model().fit(
        make_images(8), batch_size=4, verbose=2, callbacks=callbacks
    )
    waits = threading.main_thread() in recorder.threads
    # TensorFlow's are not safe beside the training.
    assert waits == (has_checkpoint or keras.backend.backend() == "tensorflow")
