import keras
import numpy as np
import pytest
from helpers import to_numpy

from keras_capi.decoders import MaskTokenDecoder

GENERATOR = np.random.default_rng(0)
PREFIX, PATCHES = (
    GENERATOR.normal(size=(2, n, 12)).astype("float32") for n in (1, 5)
)
INDICES = GENERATOR.permuted(np.tile(np.arange(16), (2, 1)), axis=1)
VISIBLE, HIDDEN = INDICES[:, :5], INDICES[:, 5:]


def make_decoder(**overrides):
    arguments = {
        "context_dim": 12,
        "output_dim": 7,
        "grid_size": (4, 4),
        "num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
        **overrides,
    }
    return MaskTokenDecoder(**arguments)


def test_order_of_patches_does_not_matter():
    decoder = make_decoder()
    output = to_numpy(decoder(PREFIX, PATCHES, VISIBLE, HIDDEN))
    assert output.shape == (2, 16, 7)
    turned = to_numpy(
        decoder(PREFIX, PATCHES[:, ::-1], VISIBLE[:, ::-1], HIDDEN[:, ::-1])
    )
    np.testing.assert_allclose(turned[:, :5], output[:, 4::-1], atol=1e-5)
    np.testing.assert_allclose(turned[:, 5:], output[:, :4:-1], atol=1e-5)


def test_a_prediction_depends_on_where_it_is():
    decoder = make_decoder()
    output = to_numpy(decoder(PREFIX, PATCHES, VISIBLE, HIDDEN))
    assert np.abs(output[:, 5] - output[:, 6]).max() > 1e-3


def test_some_patches_alone():
    decoder = make_decoder()
    some = HIDDEN[:, :3]
    output = decoder(PREFIX, PATCHES, VISIBLE, some)
    assert output.shape == (2, 8, 7)
    spec = decoder.compute_output_spec(
        *(
            keras.KerasTensor(x.shape, x.dtype)
            for x in (PREFIX, PATCHES, VISIBLE, some)
        )
    )
    assert spec.shape == (2, 8, 7)


def test_another_grid():
    decoder = make_decoder()
    output = decoder(PREFIX, PATCHES, VISIBLE, HIDDEN, grid_size=(2, 8))
    other = decoder(PREFIX, PATCHES, VISIBLE, HIDDEN)
    assert np.abs(to_numpy(output) - to_numpy(other)).max() > 1e-3


def test_saved_and_loaded(tmp_path):
    decoder = make_decoder(mlp_dim=20)
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    assert loaded.get_config() == decoder.get_config()
    np.testing.assert_array_equal(
        to_numpy(loaded(PREFIX, PATCHES, VISIBLE, HIDDEN)),
        to_numpy(decoder(PREFIX, PATCHES, VISIBLE, HIDDEN)),
    )


def test_no_vectors_but_biases_and_norms():
    decoder = make_decoder()
    assert tuple(decoder.mask_token.shape) == (1, 16)
    assert decoder.mask_token.trainable
    assert not decoder.positions.trainable_variables


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"hidden_dim": 18}, "divisible by 4"),
        ({"num_layers": 0}, "num_layers"),
        ({"grid_size": (4,)}, "grid_size"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_decoder(**arguments)
