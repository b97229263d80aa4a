import io
import threading

import numpy as np
import pytest
from helpers import make_backbone
from helpers import make_images
from helpers import make_model
from helpers import to_numpy
from PIL import Image
from tensorboard.backend.event_processing import event_file_loader

from keras_capi.callbacks import FeatureImages
from keras_capi.visualization import principal_components

pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(3, 16, 24)


def test_pictures_in_fit(tmp_path):
    callback = FeatureImages(IMAGES, tmp_path / "run", every=2)
    make_model().fit(
        IMAGES, batch_size=3, epochs=4, callbacks=[callback], verbose=0
    )
    names = ["epoch_0002.png", "epoch_0004.png"]
    files = sorted((tmp_path / "run").iterdir())
    assert [path.name for path in files] == names
    for path in files:
        with Image.open(path) as picture:
            assert (
                len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 50
            )


def test_expands_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    callback = FeatureImages(IMAGES, "~/run", log_dir="~/logs")
    assert callback.folder == tmp_path / "run"
    assert callback.log_dir == tmp_path / "logs"


def test_signs_stay():
    features = to_numpy(make_model().teacher(IMAGES)["feature_map"])
    first = np.stack(principal_components(features))
    # The same features, turned and mirrored: other signs are as likely.
    generator = np.random.default_rng(0)
    for _ in range(5):
        turn, _ = np.linalg.qr(generator.normal(size=(16, 16)))
        again = principal_components(features @ turn, like=first)
        np.testing.assert_allclose(np.stack(again), first, atol=1e-3)


def test_tensorboard(tmp_path):
    callback = FeatureImages(IMAGES, tmp_path / "a", log_dir=tmp_path / "logs")
    callback.set_model(make_model())
    callback.on_epoch_end(0, {})
    [file] = (tmp_path / "logs").iterdir()
    loader = event_file_loader.LegacyEventFileLoader(str(file))
    events = [event for event in loader.Load() if event.summary.value]
    assert [event.step for event in events] == [1]
    [value] = events[0].summary.value
    assert value.tag == "features"
    with Image.open(io.BytesIO(value.image.encoded_image_string)) as picture:
        assert picture.size == (value.image.width, value.image.height)


def test_nothing_stays_open_after_a_training(tmp_path):
    threads = set(threading.enumerate())
    callback = FeatureImages(IMAGES, tmp_path / "a", log_dir=tmp_path / "logs")
    for _ in range(2):
        callback.set_model(make_model())
        callback.on_epoch_end(0, {})
        assert set(threading.enumerate()) > threads
        callback.on_train_end()
        assert set(threading.enumerate()) == threads
    files = list((tmp_path / "logs").iterdir())
    assert len(files) == 2
    for file in files:
        loader = event_file_loader.LegacyEventFileLoader(str(file))
        assert any(event.summary.value for event in loader.Load())


@pytest.mark.parametrize(("count", "fits"), [(1, False), (2, False), (3, True)])
def test_a_few_patches(tmp_path, count, fits):
    """Three components need three, and the error comes before the training."""
    model = make_model()
    callback = FeatureImages(IMAGES[:count, :4, :4], tmp_path)
    if fits:
        callback.set_model(model)
        callback.draw()
        return
    with pytest.raises(ValueError, match=f"three patches have.*{count} in"):
        callback.set_model(model)


def test_bad_arguments(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`log_dir` must be a folder"):
        FeatureImages(IMAGES, tmp_path / "a", log_dir=tmp_path / "file")
    for folder in ("file", "file/pictures"):
        with pytest.raises(ValueError, match="`folder` must be"):
            FeatureImages(IMAGES, tmp_path / folder)
    with pytest.raises(ValueError, match="`pictures` must be one for each"):
        FeatureImages(IMAGES, tmp_path, pictures=IMAGES[:2])
    with pytest.raises(ValueError, match="uint8, or floats in .*from -2.0"):
        FeatureImages(IMAGES, tmp_path, pictures=np.full(IMAGES.shape, -2.0))
    with pytest.raises(ValueError, match="`images` must be an array of shape"):
        FeatureImages(IMAGES[0], tmp_path)


def test_images_of_many_channels(tmp_path):
    images = make_images(3, 16, 24, channels=13)
    with pytest.raises(ValueError, match=r"`pictures` must have.*\(3, 16\)"):
        FeatureImages(images, tmp_path, images[:, :, 0, 0])
    callback = FeatureImages(images, tmp_path)
    with pytest.raises(ValueError, match="must have 3 channels"):
        callback.set_model(make_model())
    callback.set_model(make_model(make_backbone(image_shape=(16, 24, 13))))
