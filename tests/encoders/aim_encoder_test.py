import keras
import numpy as np
from helpers import make_images
from helpers import to_numpy

from keras_capi.encoders import AIMEncoder


def make(**arguments):
    return AIMEncoder(4, 1, 16, 2, image_shape=(16, 16, 3), **arguments)


def test_tokens_are_normalised_before_positions():
    encoder = make()
    tokens = to_numpy(encoder.embed(make_images(2))[0])
    np.testing.assert_allclose(tokens.mean(-1), 0.0, atol=1e-5)
    np.testing.assert_allclose(tokens.std(-1), 1.0, atol=1e-3)
    assert encoder.num_prefix_tokens == 0


def test_biases_are_those_of_the_embedding_and_of_norms():
    shapes = [v.path.split("/")[-2] for v in make().blocks[0].weights]
    assert {name for name in shapes if "norm" not in name} == {
        "query_key_value",
        "output_projection",
        "mlp_hidden",
        "mlp_output",
    }
    for block in make().blocks:
        for layer in block.projections:
            assert not layer.use_bias


def test_round_trip(tmp_path):
    encoder = make(drop_path_rate=0.1, mlp_dim=24)
    clone = AIMEncoder.from_config(encoder.get_config())
    assert clone.get_config() == encoder.get_config()
    encoder.patch_norm.gamma.assign(np.arange(16.0))
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    images = make_images(2)
    np.testing.assert_allclose(
        to_numpy(loaded(images)["feature_map"]),
        to_numpy(encoder(images)["feature_map"]),
        atol=1e-6,
    )
