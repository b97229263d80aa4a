import keras
import numpy as np
import pytest
from backend_helpers import on_one_backend
from helpers import make_vit
from helpers import to_numpy

from keras_capi.decoders import SelfAttentionPredictor

GENERATOR = np.random.default_rng(0)
PREFIX, PATCHES = (
    GENERATOR.normal(size=(2, n, 12)).astype("float32") for n in (1, 5)
)
INDICES = GENERATOR.permuted(np.tile(np.arange(16), (2, 1)), axis=1)
VISIBLE, HIDDEN = INDICES[:, :5], INDICES[:, 5:15].reshape(2, 2, 5)


once = on_one_backend("What JAX compiles for long is the same everywhere.")


def make_predictor(**overrides):
    arguments = {
        "context_dim": 12,
        "output_dim": 7,
        "grid_size": (4, 4),
        "num_layers": 1,
        "hidden_dim": 16,
        "num_heads": 2,
        "kernel_initializer": "glorot_uniform",
        **overrides,
    }
    return SelfAttentionPredictor(**arguments)


@once
def test_blocks_do_not_see_each_other():
    predictor = make_predictor()
    output = to_numpy(predictor(PREFIX, PATCHES, VISIBLE, HIDDEN))
    assert output.shape == (2, 2, 5, 7)
    for block in range(2):
        alone = predictor(PREFIX, PATCHES, VISIBLE, HIDDEN[:, [block]])
        np.testing.assert_allclose(
            to_numpy(alone)[:, 0], output[:, block], atol=1e-5
        )


@once
def test_predictions_of_a_block_see_each_other():
    predictor = make_predictor()
    output = to_numpy(predictor(PREFIX, PATCHES, VISIBLE, HIDDEN))
    fewer = to_numpy(predictor(PREFIX, PATCHES, VISIBLE, HIDDEN[..., :4]))
    assert np.abs(output[:, :, :4] - fewer).max() > 1e-4


@once
@pytest.mark.parametrize("pads", [("visible",), ("predict",), None])
def test_padding_changes_nothing(pads):
    predictor = make_predictor()
    output = to_numpy(predictor(PREFIX, PATCHES, VISIBLE, HIDDEN))
    pads = pads or ("visible", "predict")
    patches, indices, hidden, masks = PATCHES, VISIBLE, HIDDEN, {}
    if "visible" in pads:
        patches = np.pad(PATCHES, ((0, 0), (0, 2), (0, 0)), constant_values=3)
        indices = np.pad(VISIBLE, ((0, 0), (0, 2)), constant_values=9)
        masks["visible_mask"] = np.arange(7)[None].repeat(2, axis=0) < 5
    if "predict" in pads:
        hidden = np.pad(HIDDEN, ((0, 0), (0, 0), (0, 3)), constant_values=9)
        masks["predict_mask"] = np.broadcast_to(np.arange(8) < 5, (2, 2, 8))
    padded = predictor(PREFIX, patches, indices, hidden, **masks)
    np.testing.assert_allclose(
        to_numpy(padded)[:, :, :5], output, rtol=0, atol=1e-5
    )


def test_no_prefix():
    predictor = make_predictor()
    output = predictor(PREFIX[:, :0], PATCHES, VISIBLE, HIDDEN)
    assert output.shape == (2, 2, 5, 7)
    spec = predictor.compute_output_spec(
        *(
            keras.KerasTensor(x.shape, x.dtype)
            for x in (PREFIX[:, :0], PATCHES, VISIBLE, HIDDEN)
        )
    )
    assert spec.shape == (2, 2, 5, 7)


@once
def test_sizes_follow_from_the_encoder():
    predictor = SelfAttentionPredictor.for_encoder(make_vit(), num_layers=1)
    assert (predictor.hidden_dim, predictor.num_heads) == (384, 2)
    assert (predictor.context_dim, predictor.output_dim) == (16, 16)
    assert predictor.positions.grid_size == (4, 4)
    kernel = to_numpy(predictor.blocks[0].mlp_hidden.kernel)
    assert kernel.std() == pytest.approx(0.02, rel=0.02)
    # A width that five heads divide, and that suits sines.
    encoder = make_vit(hidden_dim=20, num_heads=5)
    predictor = SelfAttentionPredictor.for_encoder(encoder, num_layers=1)
    assert (predictor.hidden_dim, predictor.num_heads) == (400, 5)


def test_saved_and_loaded(tmp_path):
    predictor = make_predictor(mlp_dim=20)
    predictor.save(tmp_path / "predictor.keras")
    loaded = keras.saving.load_model(tmp_path / "predictor.keras")
    assert loaded.get_config() == predictor.get_config()
    np.testing.assert_array_equal(
        to_numpy(loaded(PREFIX, PATCHES, VISIBLE, HIDDEN)),
        to_numpy(predictor(PREFIX, PATCHES, VISIBLE, HIDDEN)),
    )
