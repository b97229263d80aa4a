import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import weights_of
from PIL import Image
from tensorboard.backend.event_processing import event_file_loader

from keras_capi.callbacks import ReconstructionImages

pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(3)


def train(callbacks):
    keras.utils.set_random_seed(0)
    model = make_mae()
    model.fit(IMAGES, batch_size=3, epochs=2, callbacks=callbacks, verbose=0)
    return weights_of(model)


def test_pictures_do_not_change_the_training(tmp_path):
    callback = ReconstructionImages(
        IMAGES, tmp_path / "run", log_dir=tmp_path / "logs"
    )
    for weight, expected in zip(train([callback]), train([]), strict=True):
        np.testing.assert_array_equal(weight, expected)
    files = sorted((tmp_path / "run").iterdir())
    assert [x.name for x in files] == ["epoch_0001.png", "epoch_0002.png"]
    pictures = [np.asarray(Image.open(path)) for path in files]
    assert len(np.unique(pictures[0].reshape(-1, 4), axis=0)) > 50
    # The same masks; the model has changed.
    assert 0 < np.mean(pictures[0] != pictures[1]) < 0.5
    [file] = (tmp_path / "logs").iterdir()
    loader = event_file_loader.LegacyEventFileLoader(str(file))
    values = [e.summary.value for e in loader.Load() if e.summary.value]
    assert [value[0].tag for value in values] == ["reconstructions"] * 2


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="`pictures` must have the shape"):
        ReconstructionImages(IMAGES, tmp_path, 0.0 * IMAGES[:, :8])
    with pytest.raises(ValueError, match="seed"):
        ReconstructionImages(IMAGES, tmp_path, seed=-1)
    callback = ReconstructionImages(IMAGES, tmp_path)
    with pytest.raises(ValueError, match="have `predict_pixels`.*CAPI"):
        callback.set_model(make_model())
    callback = ReconstructionImages(make_images(3, 18, 16), tmp_path)
    with pytest.raises(ValueError, match="divisible by the patch size"):
        callback.set_model(make_mae())
