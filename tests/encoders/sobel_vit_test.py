import keras
import numpy as np
from helpers import make_images
from helpers import to_numpy

from keras_capi.encoders import SobelViT
from keras_capi.encoders import ViT
from keras_capi.encoders import resize_vit
from keras_capi.ops import sobel_filter

IMAGES = make_images(2)


def make(kind=SobelViT, num_channels=3):
    return kind(4, 1, 16, 2, image_shape=(16, 16, num_channels))


def test_a_vit_of_edges():
    encoder, plain = make(), make(ViT, num_channels=2)
    plain.set_weights(encoder.get_weights())
    assert encoder.image_shape == (16, 16, 3)
    edges = sobel_filter(IMAGES)
    visible = np.array([[0, 3], [5, 1]])
    for arguments in ({}, {"visible_indices": visible}):
        np.testing.assert_allclose(
            to_numpy(encoder(IMAGES, **arguments)["global"]),
            to_numpy(plain(edges, **arguments)["global"]),
            atol=1e-6,
        )


def test_the_order_of_colors_does_not_matter():
    encoder = make()
    others = np.ascontiguousarray(IMAGES[..., ::-1])
    np.testing.assert_allclose(
        encoder.predict(others, verbose=0)["global"],
        encoder.predict(IMAGES, verbose=0)["global"],
        atol=1e-5,
    )


def test_round_trip(tmp_path):
    encoder = make()
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert type(loaded) is SobelViT
    features = to_numpy(encoder(IMAGES)["feature_map"])
    for other in (loaded, resize_vit(encoder, (16, 16, 3))):
        np.testing.assert_allclose(
            to_numpy(other(IMAGES)["feature_map"]), features, atol=1e-6
        )
